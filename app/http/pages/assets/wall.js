// Renews the wall every half minute. When that does not work, it says since when: a stale green page would be the worst fault.
"use strict";
(() => {
  const lost = document.querySelector("[data-lost]");
  const every = Number(document.querySelector("[data-wall]").dataset.refresh) * 1000;
  const renew = async () => {
    try {
      const answer = await fetch(location.href, { cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(20000) });
      if (answer.status === 404) { location.reload(); return; }
      if (!answer.ok) throw new Error(String(answer.status));
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      document.querySelector("[data-wall]").replaceWith(fresh.querySelector("[data-wall]"));
      lost.querySelector("[data-since]").replaceWith(fresh.querySelector("[data-since]"));
      document.title = fresh.title;
      lost.hidden = true;
    } catch {
      lost.hidden = false;
    }
  };
  setInterval(renew, every);
})();
