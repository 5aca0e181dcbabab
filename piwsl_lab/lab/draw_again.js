// Stands in the same place; `initialize` calls this function with the manager of widgets of the page.
function drawAgain(manager) {
  const known = (window.piwslManagers ??= new WeakSet());
  const notebook = manager?.context?.model; // Voilà has none: it runs everything anew
  if (!notebook?.cells || !manager.restored || known.has(manager)) return;
  known.add(manager);
  const mime = "application/vnd.jupyter.widget-view+json";
  const look = () => {
    const gaveUp = (e) => e.textContent.includes("Error displaying widget: model not found");
    if (manager.isDisposed || notebook.isDisposed) return;
    if (![...document.querySelectorAll(".jp-OutputArea-output")].some(gaveUp)) return;
    const shown = {}; // by the id of the widget: every output that is to show it
    for (let k = 0; k < notebook.cells.length; k += 1) {
      const { outputs } = notebook.cells.get(k);
      for (let n = 0; n < (outputs?.length ?? 0); n += 1) {
        const id = outputs.get(n).data[mime]?.model_id;
        if (id && manager.has_model(id)) (shown[id] ??= []).push(() => outputs.set(n, outputs.get(n).toJSON()));
      }
    }
    for (const [id, drawings] of Object.entries(shown))
      manager.get_model(id).then((model) => {
        if (Object.keys(model.views ?? {}).length < drawings.length) drawings.forEach((draw) => draw());
      }, (error) => console.info(`piwsl-lab: widget ${id} could not be made: ${error}`));
  };
  // The wait that is given up began before the states came, and lasts two seconds; a busy page is late with it.
  const often = () => [100, 1000, 2500, 5000, 10000, 20000].forEach((ms) => setTimeout(look, ms));
  manager.restored.connect(often);
  often();
}
