"""Runs one child, watches its windows and its clock, and ends it; the parent's side. Never loads MAPI and never shows anything.

What the parent calls, from a thread (it blocks until the child has ended):

    order = Order(mode="send", mime_path=str(path), profile="Backup", client=choice, use_spooler=False)
    verdict = watch(order, command=[sys.executable, pyz, "child"], deadlines=Deadlines(), on_phase=spool.note, stop=stopping)
    if verdict.outcome == "unknown":            # killed at or after `submitting`
        again = Order(mode="reconcile", search_key=..., entryid=..., profile=..., client=..., drain=0.0)
        verdict = settle_doubt(verdict, watch(again, ...))   # app.relay.outcomes

- `command` starts a process that calls `app.relay.child.main()`; the order goes to its stdin.
- `on_phase(Phase(name, at, entryid, search_key))` is called for each phase in order. The child waits after `created` and after
  `submitting` until `on_phase` has returned, so the spool is on the disk first. If `on_phase` raises, the child is killed and the
  error comes out of `watch`: nothing was submitted if it raised at or before `submitting`.
- `stop` (a threading.Event) set before `submitting`: the child is killed, outcome `transient`. Later: it has `deadlines.stopping` left.
- `Verdict(outcome, reason, evidence, cause)`: `outcome` is one of docs/mapi.md's words; `reason` is a sentence for people; `evidence` is
  JSON (`proof`, `hresult`, `windows`, `phase`, `search_key`, ...); `cause` says why an `unknown` was killed.
  After a restart of the relay itself: a spooled message whose last phase is `created` or later is reconciled, an earlier one sent again.
- Modes: `send`, `reconcile` (look by search key; `drain` seconds of waiting, then AbortSubmit when `abort`), `doctor` (evidence has
  the profile's findings; call app.relay.doctor.examine, which runs this child itself).
- One child at a time. The process that calls this may die: the job object ends the child with it.
"""
