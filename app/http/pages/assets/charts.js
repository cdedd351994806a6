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
  const oneDecimal = (value) => value.toLocaleString(document.documentElement.lang, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
  const size = (value) => { const units = ["B", "KiB", "MiB", "GiB", "TiB"]; let unit = 0; while (value >= 999.5 && unit < 4) { value /= 1024; unit += 1; } return `${value >= 100 || unit === 0 ? Math.round(value) : oneDecimal(value)} ${units[unit]}`; };
  const time = (value) => value < 120 ? `${Math.round(value)} s` : value < 7200 ? `${Math.round(value / 60)} min` : `${oneDecimal(value / 3600)} h`;
  const formats = { s: time, B: size, "": (value) => value.toLocaleString(document.documentElement.lang) };
  const quantile = (sorted, part) => sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] : 0;
  const draw = (plot) => {
    plot.replaceChildren();
    const column = Number(plot.dataset.column), format = formats[plot.dataset.unit];
    const values = rows.map((row) => row[column] === "" ? null : Number(row[column]));
    const marks = rows.map((row) => row[5]);
    const good = values.filter((value, i) => value !== null && marks[i] === "✓").sort((a, b) => a - b);
    const low = quantile(good, 0.25), middle = quantile(good, 0.5), high = quantile(good, 0.75);
    const fills = { "✓": colour("edge"), F: colour("fail"), W: colour("warn"), M: colour("miss"), O: colour("miss") };
    const inks = { F: colour("fail-text"), W: colour("warn-text"), M: colour("miss-text"), O: colour("miss-text") };
    const muted = colour("muted"), line = colour("line"), link = colour("link"), band = colour("picked");
    const bars = (u) => {
      const { ctx } = u, left = u.bbox.left, width = u.bbox.width, step = width / rows.length, zero = u.valToPos(0, "y", true);
      ctx.save();
      ctx.fillStyle = band;
      ctx.fillRect(left, u.valToPos(high, "y", true), width, Math.max(2, u.valToPos(low, "y", true) - u.valToPos(high, "y", true)));
      values.forEach((value, i) => {
        const x = left + i * step + step * 0.15, top = value === null ? zero : u.valToPos(value, "y", true);
        ctx.fillStyle = fills[marks[i]] || fills["✓"];
        ctx.fillRect(x, top, step * 0.7, zero - top);
        if (marks[i] !== "✓") { ctx.fillStyle = inks[marks[i]] || muted; ctx.font = `700 ${12 * devicePixelRatio}px system-ui, sans-serif`; ctx.textAlign = "center"; ctx.fillText(marks[i], x + step * 0.35, Math.max(u.bbox.top + 12 * devicePixelRatio, top - 4 * devicePixelRatio)); }
      });
      ctx.strokeStyle = link; ctx.lineWidth = 1.5 * devicePixelRatio; ctx.setLineDash([5 * devicePixelRatio, 4 * devicePixelRatio]);
      const y = u.valToPos(middle, "y", true);
      ctx.beginPath(); ctx.moveTo(left, y); ctx.lineTo(left + width, y); ctx.stroke();
      ctx.restore();
    };
    const most = Math.max(...values.filter((value) => value !== null), 1);
    const day = (i) => new Date(Number(rows[i][0]) * 1000).toLocaleDateString(document.documentElement.lang, { day: "numeric", month: "short" });
    new window.uPlot({
      width: plot.clientWidth, height: 170, legend: { show: false }, cursor: { show: false },
      scales: { x: { time: false, range: [-0.5, rows.length - 0.5] }, y: { range: [0, most * 1.15] } },
      axes: [
        { stroke: muted, size: 30, grid: { show: false }, ticks: { show: false }, splits: () => [0, Math.floor((rows.length - 1) / 2), rows.length - 1], values: (u, at) => at.map(day) },
        { stroke: muted, size: 68, grid: { stroke: line, width: 1 }, ticks: { show: false }, values: (u, at) => at.map(format), space: 50 },
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
