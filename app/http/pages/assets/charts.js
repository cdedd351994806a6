// Charts of a job's runs, drawn from the table on the page: bars, the dashed median, the middle half shaded, and a letter over what was not ok.
"use strict";
(() => {
  const holder = document.querySelector("[data-charts]");
  if (!holder || !window.uPlot) return;
  const rows = [...document.getElementById(holder.dataset.table).tBodies[0].rows].map((row) => [...row.cells].map((cell) => cell.dataset.v));
  const style = getComputedStyle(document.documentElement);
  const probe = document.createElement("span");
  document.body.append(probe);
  const colour = (name) => { probe.style.color = `var(--${name})`; return getComputedStyle(probe).color; };
  const language = document.documentElement.lang === "en" ? "en-GB" : document.documentElement.lang; // `14 Nov`, as the page writes days
  // What one step of an axis is counted in: the largest unit that the highest value reaches, and its word.
  const UNITS = {
    s: [[3600, "h"], [60, "min"], [1, "s"]],
    B: [[1024 ** 4, "TiB"], [1024 ** 3, "GiB"], [1024 ** 2, "MiB"], [1024, "KiB"], [1, "B"]],
    "": [[1, ""]],
  };
  const NICE = [1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10];
  // Returns the top of an axis, half of which is a round number too, and how its numbers are written.
  const scale = (most, kind) => {
    const [unit, word] = UNITS[kind].find(([size]) => most >= size * 2) || UNITS[kind].at(-1);
    const power = 10 ** Math.floor(Math.log10(Math.max(most / unit, 1)));
    const top = NICE.find((step) => step * power * unit >= most) * power * unit;
    const write = (value) => `${(value / unit).toLocaleString(language, { maximumFractionDigits: 1 })}${value && word ? ` ${word}` : ""}`;
    return { top, write };
  };
  const quantile = (sorted, part) => sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] : 0;
  const draw = (plot) => {
    plot.replaceChildren();
    const column = Number(plot.dataset.column);
    const values = rows.map((row) => row[column] === "" ? null : Number(row[column]));
    const marks = rows.map((row) => row[5]);
    const good = values.filter((value, i) => value !== null && marks[i] === "✓").sort((a, b) => a - b);
    const low = quantile(good, 0.25), middle = quantile(good, 0.5), high = quantile(good, 0.75);
    const fills = { "✓": colour("edge"), F: colour("fail"), W: colour("warn"), M: colour("miss"), O: colour("miss") };
    const inks = { F: colour("fail-text"), W: colour("warn-text"), M: colour("miss-text"), O: colour("miss-text") };
    const muted = colour("muted"), line = colour("line"), link = colour("link"), card = colour("card");
    const { top: most, write } = scale(Math.max(...values.filter((value) => value !== null), 1) * 1.1, plot.dataset.unit); // room for a letter
    const bars = (u) => {
      const { ctx } = u, left = u.bbox.left, width = u.bbox.width, step = width / rows.length, zero = u.valToPos(0, "y", true);
      ctx.save();
      const dot = devicePixelRatio, y = u.valToPos(middle, "y", true);
      const tops = values.map((value) => value === null ? zero : u.valToPos(value, "y", true));
      ctx.globalAlpha = 0.16; ctx.fillStyle = link;
      ctx.fillRect(left, u.valToPos(high, "y", true), width, Math.max(2, u.valToPos(low, "y", true) - u.valToPos(high, "y", true)));
      ctx.globalAlpha = 1;
      values.forEach((value, i) => {
        ctx.fillStyle = fills[marks[i]] || fills["✓"];
        ctx.fillRect(left + i * step + step * 0.15, tops[i], step * 0.7, zero - tops[i]);
      });
      ctx.strokeStyle = link; ctx.lineWidth = 1.5 * dot; ctx.setLineDash([5 * dot, 4 * dot]);
      ctx.beginPath(); ctx.moveTo(left, y); ctx.lineTo(left + width, y); ctx.stroke();
      // Letters last, on a rim of the ground: a line through one would make it hard to read. A run without a value stands on a dotted line.
      ctx.font = `700 ${12 * dot}px system-ui, sans-serif`; ctx.textAlign = "center";
      marks.forEach((mark, i) => {
        if (mark === "✓") return;
        const x = left + (i + 0.5) * step, ink = inks[mark] || muted;
        let at = tops[i] - 4 * dot;
        if (values[i] === null) {
          ctx.strokeStyle = ink; ctx.lineWidth = 1.5 * dot; ctx.setLineDash([2 * dot, 3 * dot]);
          ctx.beginPath(); ctx.moveTo(x, zero); ctx.lineTo(x, zero - 18 * dot); ctx.stroke();
          at = zero - 22 * dot;
        }
        ctx.setLineDash([]); ctx.lineWidth = 4 * dot; ctx.lineJoin = "round"; ctx.strokeStyle = card; ctx.strokeText(mark, x, at);
        ctx.fillStyle = ink; ctx.fillText(mark, x, at);
      });
      ctx.restore();
    };
    const day = (i) => new Date(Number(rows[i][0]) * 1000).toLocaleDateString(language, { day: "numeric", month: "short", timeZone: document.documentElement.dataset.zone });
    new window.uPlot({
      width: plot.clientWidth, height: 170, legend: { show: false }, cursor: { show: false },
      scales: { x: { time: false, range: [-0.5, rows.length - 0.5] }, y: { range: [0, most] } },
      axes: [
        { stroke: muted, size: 30, grid: { show: false }, ticks: { show: false }, splits: () => [0, Math.floor((rows.length - 1) / 2), rows.length - 1], values: (u, at) => at.map(day) },
        { stroke: muted, size: 68, grid: { stroke: line, width: 1 }, ticks: { show: false }, splits: () => [0, most / 2, most], values: (u, at) => at.map(write) },
      ],
      series: [{}, { show: true, stroke: "transparent", points: { show: false } }],
      hooks: { draw: [bars] },
    }, [rows.map((row, i) => i), values], plot);
  };
  const all = () => { for (const plot of holder.querySelectorAll(".plot")) draw(plot); };
  all();
  let wait;
  addEventListener("resize", () => { clearTimeout(wait); wait = setTimeout(all, 150); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
})();
