// A button that shows the dashboard around it alone, over the whole window; Escape or the button goes back. It is a
// matter of this view: another window of the same dashboard stays as it is.
//
// The dashboard becomes a popover, which a browser draws above everything, whatever its parents clip or move. Where
// there are no popovers, position: fixed does what it can.
const NAMES = { alone: "Alone", back: "Back" };

function render({ model, el }) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "lm-Widget jupyter-widgets jupyter-button widget-button piwsl-alone-button";
  el.append(button);
  const root = () => el.closest(".piwsl-dashboard");
  let dashboard = null; // while it is alone

  const label = () => {
    button.textContent = dashboard ? NAMES.back : NAMES.alone;
    button.title = dashboard ? "Back to the notebook; Escape does the same." : model.get("tooltip_text");
    button.setAttribute("aria-pressed", String(Boolean(dashboard)));
  };
  const resized = () => requestAnimationFrame(() => window.dispatchEvent(new Event("resize")));

  function leave() {
    if (!dashboard) return;
    const was = dashboard;
    dashboard = null;
    if (was.matches?.(":popover-open")) was.hidePopover();
    was.removeAttribute("popover");
    was.classList.remove("piwsl-alone");
    document.removeEventListener("keydown", escape, true);
    label();
    was.scrollIntoView?.({ block: "nearest" });
    resized();
  }

  function escape(event) {
    if (event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    leave();
    button.focus();
  }

  function enter() {
    dashboard = root();
    if (!dashboard) return;
    dashboard.classList.add("piwsl-alone");
    if (dashboard.showPopover) {
      dashboard.setAttribute("popover", "manual");
      dashboard.showPopover();
    }
    document.addEventListener("keydown", escape, true);
    label();
    button.focus();
    resized();
  }

  // ipywidgets puts the tooltip of a slider on its words, and that of a drop-down nowhere.
  function spreadTooltip(event) {
    const row = event.target.closest?.(".widget-inline-hbox");
    const label = row?.querySelector(".widget-label");
    const words = label && (label.title || model.get("tooltips")[label.textContent.trim()]);
    if (words && row.title !== words) row.title = words;
  }

  model.send({ type: "shown" });
  button.addEventListener("click", () => (dashboard ? leave() : enter()));
  label();
  // The button is in the page a moment later than it is made.
  const find = setInterval(() => {
    if (!root()) return;
    clearInterval(find);
    // The number beside a slider is no stop of the keyboard: the slider is, and it says the same.
    for (const number of root().querySelectorAll(".piwsl-knob .widget-readout")) number.tabIndex = -1;
    root().addEventListener("mouseover", spreadTooltip);
    root().addEventListener("focusin", spreadTooltip);
  }, 200);

  return () => {
    clearInterval(find);
    leave();
  };
}

export default { render };
