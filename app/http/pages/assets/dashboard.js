// What pages do beyond reading and posting forms. Every page works without this file.
"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];

  // The reader's time zone: the server learns it from a cookie, and the first page is read again once.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && !document.cookie.includes("zone=" + zone)) {
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `zone=${zone}; Path=/; Max-Age=31622400; SameSite=Lax${secure}`;
    if (document.cookie.includes("zone=") && root.dataset.zone !== zone && !location.search.includes("done=")) location.reload();
  }

  // The seconds in which something can be undone. When they are over, the button goes.
  for (const button of all("[data-undo]")) {
    const shown = button.querySelector("[data-seconds]");
    let left = Number(button.dataset.undo);
    const count = setInterval(() => {
      left -= 1;
      shown.textContent = shown.textContent.replace(/\d+/, String(left));
      if (left <= 0) { clearInterval(count); button.closest("form").remove(); }
    }, 1000);
  }
  // What was done is said once: reading the page again must not say it again.
  if (/[?&](done|trouble)=/.test(location.search)) {
    const kept = new URLSearchParams(location.search);
    for (const name of ["done", "n", "at", "trouble", "by"]) kept.delete(name);
    history.replaceState(null, "", location.pathname + (kept.size ? "?" + kept : "") + location.hash);
  }

  // One menu is open at a time; Escape and a click elsewhere close it.
  document.addEventListener("click", (event) => {
    for (const menu of all("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });

  // Several at once: the bar shows how many are chosen.
  const form = document.querySelector("[data-bulk]");
  if (form) {
    for (const label of all(".all", form)) label.hidden = false;
    const boxes = () => all(".pick", form);
    const tell = () => {
      const chosen = boxes().reduce((sum, box) => sum + (box.checked ? Number(box.dataset.n || 1) : 0), 0);
      for (const shown of all("[data-chosen]", form)) shown.textContent = shown.textContent.replace(/\d+|$/, String(chosen));
    };
    form.addEventListener("change", (event) => {
      if (event.target.matches("[data-all]")) for (const box of boxes()) box.checked = event.target.checked;
      tell();
    });
    form.addEventListener("reset", () => setTimeout(tell));
  }

  // Choosing the transport of an address loads the fields that it has.
  for (const choice of all("[data-fields]")) choice.addEventListener("change", () => choice.form.querySelector("[value=fields]").click());

  // Copying.
  // A filter over a list that is on the page already: without scripts, its form asks the server for the same.
  for (const find of all("[data-narrow]")) find.addEventListener("input", () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = all("label", document.getElementById(find.dataset.narrow));
    const wanted = (row) => words.every((word) => `${row.textContent} ${row.querySelector("input").value}`.toLowerCase().includes(word));
    for (const row of rows) row.hidden = !wanted(row);
    const left = rows.filter((row) => !row.hidden);
    if (left.length && !left.some((row) => row.querySelector("input").checked)) left[0].querySelector("input").checked = true;
    document.querySelector("[data-narrow-none]").hidden = left.length > 0;
    document.querySelector("[data-narrow-some]").hidden = left.length === 0;
  });

  for (const button of all("[data-copy]")) button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = button.dataset.copied;
  });

  // Live: the page hears that something changed. Rows do not move under the pointer; a button offers to read the page again.
  const live = document.querySelector("[data-live]");
  if (live && live.dataset.live && window.EventSource) {
    const fresh = document.querySelector("[data-fresh]");
    const clock = (at) => new Date(at).toLocaleTimeString(root.lang, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
    let heard = Date.now(), stamp = live.dataset.stamp || null, lost = false; // what changed while the page loaded is new too
    const show = () => {
      live.hidden = false;
      live.classList.toggle("lost", lost);
      live.textContent = lost ? `${live.dataset.lost} ${clock(heard)}` : `${live.dataset.liveWord} ${clock(heard)}`;
    };
    const badges = (number) => {
      for (const badge of all("[data-hot]")) {
        badge.hidden = number === 0;
        badge.textContent = String(number);
        if (badge.hasAttribute("aria-label")) badge.setAttribute("aria-label", badge.getAttribute("aria-label").replace(/\d+/, String(number)));
      }
    };
    let source = null;
    const listen = () => {
      source = new EventSource("/live");
      source.addEventListener("badge", (event) => badges(Number(event.data)));
      source.addEventListener("state", (event) => {
        heard = Date.now(); lost = false; show();
        if (stamp !== null && stamp !== event.data) {
          if (fresh) fresh.hidden = false;
          const verdict = document.getElementById("verdict-part");
          if (verdict && window.htmx) window.htmx.ajax("GET", location.pathname + location.search, { target: "#verdict-part", select: "#verdict-part", swap: "outerHTML" });
        }
        stamp = event.data;
      });
      source.addEventListener("error", () => { if (Date.now() - heard > 15000) { lost = true; show(); } });
    };
    // A page that nobody sees holds no connection: a browser opens six to one host, and the seventh tab would wait for ever.
    document.addEventListener("visibilitychange", () => {
      if (document.hidden && source) { source.close(); source = null; }
      else if (!document.hidden && !source) listen();
    });
    if (!document.hidden) listen();
    setInterval(() => { const was = lost; lost = Date.now() - heard > 40000; if (lost !== was) show(); }, 5000);
  }

  // Keys, never while typing; they can be switched off.
  const dialog = document.querySelector("[data-keys]");
  const kept = { get on() { return localStorage.getItem("keys") !== "off"; }, set on(is) { localStorage.setItem("keys", is ? "on" : "off"); } };
  const onBox = dialog && dialog.querySelector("[data-keys-on]");
  if (onBox) { onBox.checked = kept.on; onBox.addEventListener("change", () => { kept.on = onBox.checked; }); }
  let here = -1;
  const rows = () => all("[data-row]");
  const go = (step) => {
    const found = rows();
    if (!found.length) return;
    if (found[here]) found[here].classList.remove("here");
    here = Math.min(found.length - 1, Math.max(0, here + step));
    found[here].classList.add("here");
    const link = found[here].querySelector("a.plain, input");
    (link || found[here]).focus({ preventScroll: false });
  };
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") for (const menu of all("details.menu[open]")) menu.open = false;
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]")) return;
    if (event.key === "?" && dialog) { event.preventDefault(); dialog.open ? dialog.close() : dialog.showModal(); return; }
    if (!kept.on) return;
    const row = rows()[here];
    switch (event.key) {
      case "/": { const find = document.querySelector("[data-find]"); if (find && find.offsetParent) { event.preventDefault(); find.focus(); } break; }
      case "j": go(1); break;
      case "k": go(-1); break;
      case "x": { const box = row && row.querySelector(".pick"); if (box) box.click(); break; }
      case "a": { const button = row && row.querySelector("[data-acknowledge]"); if (button) button.click(); break; }
    }
  });
})();
