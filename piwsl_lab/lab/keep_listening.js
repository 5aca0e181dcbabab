// Stands in front of the `_esm` of every anywidget whose state changes. Its `initialize` calls this function with the
// model and the model's own id. Messages then go to the model as in ipywidgets, whatever became of anywidget's wait.
async function keepListening(model, id) {
  const raw = await model.widget_manager.get_model(id);
  const handlers = [];
  for (let at = raw; at; at = Object.getPrototypeOf(at))
    if (Object.hasOwn(at, "_handle_comm_msg")) handlers.push(at._handle_comm_msg);
  const plain = handlers[1] ?? handlers[0]; // the first is anywidget's, the second that of ipywidgets
  if (raw.comm && plain) raw.comm.on_msg((message) => plain.call(raw, message));
}
