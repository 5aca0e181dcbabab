// One plot. Everything it shows is state of a model, and every view draws all of it from that state whenever it
// appears: after F5, in a second window, in a tab that opens, after a lost connection. No message has to arrive at
// the right moment. The widget itself has one trait, `state`, the id of that model, and it never changes: anywidget
// drops every message of a widget whose script was not there within two seconds, as on a busy machine. The model with
// the state is one of Jupyter's own, which drops none. Its traits, written by live.py in one message:
//   figure    JSON text: traces without their numbers, layout, config
//   numbers   float32, all columns behind each other (little-endian)
//   columns   [[trace, "x" | "y", first, length], …]: where the numbers belong
//   revision  counts the states, to find out whether one was lost
//   library   model id of the widget that holds plotly.js, once for all plots of a kernel
//   on_dark   colours of light pages and what they become on a dark one
const OFTEN = 100; // ms from one drawing to the next: ten a second are seen as motion
const LINE = 14; // px between two numbers above each other
const BETWEEN_PANELS = 28; // px, for the words above a panel
const ASK = 3000; // ms between two questions whether this page has the last state
const PATIENCE = 15000; // ms until a question counts as lost
const LOST = "The kernel of this plot has ended or was restarted: run the cells again. Session.load brings a saved session back.";

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// A kernel that has ended hears nothing; the plot then says so in words.
function say(model, content) {
  try {
    model.send(content);
  } catch (error) {
    console.info(`piwsl-lab: ${content.type} was not heard: ${error.message}`);
  }
}

// ---- plotly.js, once a page ---------------------------------------------------------------------------------------

async function inflated(view) {
  const bytes = view instanceof DataView ? new Uint8Array(view.buffer, view.byteOffset, view.byteLength) : new Uint8Array(view);
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

async function found(manager, id, tries = 40) {
  // A page that has just been loaded may still be asking the kernel for its models: "not found" is not the last word.
  for (let k = 1; ; k += 1) {
    try {
      const model = await manager.get_model(id);
      if (model) return model;
      throw new Error(`widget model ${id} is not in this page`);
    } catch (error) {
      if (k === tries) throw error;
    }
    await pause(250);
  }
}

// The library is state of its model until some page has it; then it is sent on demand.
function delivered(model) {
  const here = model.get("code");
  if (here && here.byteLength) return Promise.resolve(here);
  return new Promise((done, fail) => {
    const answer = (message, buffers) => {
      if (message?.type !== "code" || !buffers?.length) return;
      clearTimeout(patience);
      model.off("msg:custom", answer);
      done(buffers[0]);
    };
    const patience = setTimeout(() => {
      model.off("msg:custom", answer);
      fail(new Error("the kernel is busy and has not sent the library of plots yet"));
    }, PATIENCE);
    model.on("msg:custom", answer);
    say(model, { type: "wanted" });
  });
}

async function loaded(manager, id) {
  const model = await found(manager, id);
  const code = await inflated(await delivered(model));
  const before = window.Plotly; // another plotly of this page keeps its place
  const module = { exports: {} };
  new Function("module", "exports", "define", code)(module, module.exports, undefined);
  if (before === undefined) delete window.Plotly;
  else window.Plotly = before;
  say(model, { type: "loaded" });
  return module.exports;
}

function plotly(manager, state) {
  const shared = (window.piwslPlotly ??= {});
  const version = state.get("version");
  shared[version] ??= loaded(manager, state.get("library")).catch((error) => {
    delete shared[version]; // the next drawing tries again
    say(state, { type: "no library" });
    throw error;
  });
  return shared[version];
}

// ---- the theme of the page ----------------------------------------------------------------------------------------

const isDark = () => {
  const { jpThemeLight, vscodeThemeKind } = document.body.dataset;
  return jpThemeLight === "false" || /dark|high-contrast$/.test(vscodeThemeKind ?? "");
};

function template(dark) {
  const [ink, paper, grid, line] = dark ? ["#e0e0e0", "#111111", "#3a3a3a", "#999999"] : ["#2a2a2a", "#ffffff", "#e6ebf2", "#888888"];
  const axis = { gridcolor: grid, linecolor: line, tickcolor: line, zerolinecolor: grid, zerolinewidth: 1, automargin: false };
  const legend = { bgcolor: "rgba(0,0,0,0)" };
  return {
    layout: {
      paper_bgcolor: paper, plot_bgcolor: paper, font: { color: ink }, xaxis: axis, yaxis: axis, legend,
      hoverlabel: { bgcolor: dark ? "#222222" : "#ffffff", font: { color: ink }, bordercolor: line },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: line, activecolor: ink },
      annotationdefaults: { font: { color: ink } }, shapedefaults: {},
    },
  };
}

// Colours of light pages, as they are on a dark one: nothing black on black, no dark blue.
function recoloured(value, table) {
  if (typeof value === "string") return table[value.toUpperCase()] ?? value;
  if (Array.isArray(value)) return value.map((v) => recoloured(v, table));
  if (value && value.constructor === Object)
    return Object.fromEntries(Object.entries(value).map(([key, v]) => [key, recoloured(v, table)]));
  return value;
}

// ---- logarithmic axes that always have numbers --------------------------------------------------------------------

// Round numbers between two, at most `most` of them and at least two; `apart` is the least factor between neighbours.
function logTicks(low, high, most, apart) {
  [low, high] = [Math.max(low, 1e-300), Math.min(high, 1e300)]; // a reader may zoom out past the last number
  if (!(high > low * (1 + 1e-6))) return []; // no range, or one too narrow for six digits
  const round = (leading, stride) => {
    const ticks = [];
    for (let k = stride * Math.floor(Math.log10(low) / stride) - stride; k <= Math.log10(high) + 1; k += stride)
      for (const m of leading) if (m * 10 ** k >= low && m * 10 ** k <= high) ticks.push(m * 10 ** k);
    return ticks;
  };
  const steps = [[[1, 1.5, 2, 3, 4, 5, 6, 8], 1], [[1, 2, 5], 1], [[1, 3], 1], [[1], 1], [[1], 2], [[1], 3]];
  const fits = (ticks) => ticks.length <= most && ticks.every((t, k) => !k || t >= apart * ticks[k - 1]);
  let ticks = steps.map((step) => round(...step)).find(fits) ?? [];
  if (ticks.length < 2 && high >= 10 * low) {
    const all = round([1, 2, 5], 1);
    ticks = [all[0], all[all.length - 1]];
  } else if (ticks.length < 2 || (high < 2 * low && ticks.length < 3)) {
    // so narrow a range that it looks linear
    ticks = [];
    for (let parts = most - 1; ticks.length < 2; parts += 1) {
      const least = (high - low) / parts;
      const decade = 10 ** Math.floor(Math.log10(least));
      const step = [1, 2, 5, 10].map((m) => m * decade).find((s) => s >= least * (1 - 1e-9));
      ticks = [];
      for (let k = Math.ceil(low / step); k * step <= high; k += 1) ticks.push(k * step);
    }
  }
  return ticks.map((t) => Number(t.toPrecision(6)));
}

const axesOf = (layout, letter) => Object.keys(layout).filter((key) => new RegExp(`^${letter}axis\\d*$`).test(key));

// Range (powers of ten) of the positive values of an axis, rounded outwards so that it seldom moves.
function logRange(data, letter, name) {
  const own = letter + name.slice(5);
  let low = Infinity;
  let high = -Infinity;
  for (const trace of data)
    if ((trace[`${letter}axis`] ?? letter) === own)
      for (const v of trace[letter] ?? []) {
        if (v > 0 && v < low && Number.isFinite(v)) low = v;
        if (v > high && Number.isFinite(v)) high = v;
      }
  if (!(high > 0)) return [-1, 1];
  const [a, b] = [Math.log10(low), Math.log10(high)];
  const margin = Math.max(0.06 * (b - a), 0.02);
  const grain = b - a > 0.3 ? 10 : 50; // per decade
  return [Math.floor((a - margin) * grain) / grain, Math.ceil((b + margin) * grain) / grain];
}

// Panels that stand above each other leave room for the words between them, however low the plot is.
function partPanels(layout, height) {
  const panels = axesOf(layout, "y").map((name) => layout[name]).filter((axis) => axis.domain);
  for (const axis of panels) {
    const below = Math.max(...panels.map((other) => other.domain[1]).filter((top) => top <= axis.domain[0]));
    const lacking = BETWEEN_PANELS / height - (axis.domain[0] - below);
    if (lacking > 0 && lacking < 0.5 * (axis.domain[1] - axis.domain[0])) axis.domain = [axis.domain[0] + lacking, axis.domain[1]];
  }
}

function setAxes(data, layout, zoomed, shown, height) {
  partPanels(layout, height);
  for (const letter of ["x", "y"])
    for (const name of axesOf(layout, letter)) {
      const axis = layout[name];
      const kept = zoomed.has(name) && shown?.[name]?.range;
      if (kept) Object.assign(axis, { range: [...shown[name].range], autorange: false });
      if (axis.type !== "log" || axis.tickvals) continue;
      if (!kept) Object.assign(axis, { range: logRange(data, letter, name), autorange: false });
      const [low, high] = axis.range.map((v) => 10 ** v).sort((a, b) => a - b);
      const [from, to] = axis.domain ?? [0, 1];
      const lines = Math.max(2, ((to - from) * height) / LINE); // of numbers above each other
      const [most, apart] = letter === "y" ? [Math.min(6, Math.floor(lines)), (high / low) ** (1 / lines)] : [8, 1];
      const tickvals = logTicks(low, high, most, apart);
      Object.assign(axis, { tickmode: "array", tickvals, ticktext: tickvals.map(String) });
    }
}

// ---- from state to picture ----------------------------------------------------------------------------------------

function assembled(state) {
  const { data, layout, config } = JSON.parse(state.get("figure"));
  const view = state.get("numbers");
  // A copy: the bytes of a message may begin anywhere, floats may not.
  const floats = view?.byteLength ? new Float32Array(view.buffer ? view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength) : view.slice(0)) : [];
  for (const [trace, key, first, length] of state.get("columns")) data[trace][key] = floats.slice(first, first + length);
  const dark = isDark();
  if (!dark) return { data, layout: { ...layout, template: template(dark) }, config };
  const table = state.get("on_dark");
  return { data: data.map((t) => ({ ...recoloured({ ...t, x: 0, y: 0 }, table), x: t.x, y: t.y })), layout: { ...recoloured(layout, table), template: template(dark) }, config };
}

function render({ model, el }) {
  el.classList.add("piwsl-plot");
  const box = document.createElement("div"); // plotly wants an element of its own
  box.style.cssText = "width:100%;height:100%;";
  const words = document.createElement("div");
  words.className = "piwsl-plot-words";
  words.hidden = true;
  el.append(box, words);
  const zoomed = new Set(); // axes that the reader has zoomed
  const manager = model.widget_manager;
  let state = null; // the model with the state, once it is in this page
  let next = 0; // when to ask again whether this page has the last state
  let [P, waiting, drawing, again, due, held, gone] = [null, 0, false, false, 0, false, false];
  let stale = true; // whether there is something that was not drawn yet

  const visible = () => el.isConnected && el.clientWidth > 0 && el.clientHeight > 0 && !document.hidden;

  async function attached() {
    const known = await found(manager, model.get("state"));
    known.on("change:revision", later);
    known.on("msg:custom", heard);
    ask(known);
    return known;
  }

  // Now and then: has this page the last state? One that was lost on the way, while the page was loading or the
  // connection gone, is then sent again.
  function ask(known) {
    if (document.hidden || Date.now() < next) return;
    next = Date.now() + PATIENCE; // unless an answer comes
    say(known, { type: "have", revision: known.get("revision") });
  }

  function heard(message) {
    if (message?.type === "current") next = Date.now() + ASK;
  }

  async function draw() {
    waiting = 0;
    if (gone || !visible()) return; // an observer or the watch below calls again
    if (drawing || held) {
      again = true; // the reader is dragging, or the last drawing is not done
      return;
    }
    drawing = true;
    again = false;
    const began = performance.now();
    try {
      state ??= await attached();
      P ??= await plotly(manager, state);
      if (gone || !visible()) return;
      stale = false;
      const { data, layout, config } = assembled(state);
      Object.assign(layout, { width: el.clientWidth, height: el.clientHeight, autosize: false });
      const { t, b } = { t: 0, b: 0, ...layout.margin };
      setAxes(data, layout, zoomed, box.layout, Math.max(1, layout.height - t - b));
      await P.react(box, data, layout, { ...config, responsive: false, displaylogo: false });
      if (!box.dataset.heard) listen();
      words.hidden = true;
      // A slow page rests as long as it draws: clicks and numbers need it too.
      const ended = performance.now();
      due = Math.max(began + OFTEN, 2 * ended - began);
    } catch (error) {
      stale = true;
      words.hidden = false;
      words.textContent = `This plot could not be drawn and is tried again: ${error.message}`;
      if (!gone) setTimeout(later, 1000);
    } finally {
      drawing = false;
      if (again) later();
    }
  }

  function later() {
    stale = true;
    if (waiting || gone) return;
    waiting = setTimeout(draw, Math.max(0, due - performance.now()));
  }

  function listen() {
    box.dataset.heard = "yes";
    box.on("plotly_click", (event) => {
      const x = event.points?.[0]?.x;
      if (typeof x === "number") say(state, { type: "pick", x });
    });
    box.on("plotly_relayout", (change) => {
      for (const key of Object.keys(change)) {
        const axis = /^([xy]axis\d*)\.(range|autorange)/.exec(key);
        if (axis) {
          if (axis[2] === "range") zoomed.add(axis[1]);
          else zoomed.delete(axis[1]);
          later(); // other numbers on the axis
        }
        const shape = /^shapes\[(\d+)\]\.x0$/.exec(key);
        if (shape) say(state, { type: "drag", name: box.layout.shapes[shape[1]]?.name ?? "", x: change[key] });
      }
    });
  }

  const hold = () => (held = true);
  const release = () => {
    if (!held) return;
    held = false;
    if (again) later();
  };
  box.addEventListener("pointerdown", hold, true);
  window.addEventListener("pointerup", release, true);
  window.addEventListener("pointercancel", release, true);

  const sizes = new ResizeObserver(later);
  sizes.observe(el);
  const themes = new MutationObserver(later);
  themes.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-jp-theme-name"] });
  document.addEventListener("visibilitychange", later);
  // What no observer sees: a page that was asleep, or that had no height for the moment of a drawing, as while
  // JupyterLab changes its theme.
  const watch = setInterval(() => {
    if (stale && visible()) later();
    if (state?.comm_live === false) {
      words.hidden = false;
      words.textContent = LOST;
    } else if (state) {
      if (words.textContent === LOST) words.hidden = true;
      ask(state);
    }
  }, 1000);
  later();

  return () => {
    gone = true;
    clearTimeout(waiting);
    clearInterval(watch);
    sizes.disconnect();
    themes.disconnect();
    document.removeEventListener("visibilitychange", later);
    window.removeEventListener("pointerup", release, true);
    window.removeEventListener("pointercancel", release, true);
    state?.off("change:revision", later);
    state?.off("msg:custom", heard);
    if (P && box.layout) P.purge(box);
  };
}

export default { initialize: ({ model }) => drawAgain(model.widget_manager), render };
