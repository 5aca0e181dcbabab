// The picture of one molecule. All that is drawn is state of the model (traits written by view.py), and every view
// draws all of it from that state whenever it appears: at first, after F5, in a second window, in a tab that opens.
// No message has to arrive at a certain moment and no answer of Python is needed.
//
//   molecule  {id, name, text, radii, elements, labels, box, centre, orientation, reach}: atoms and what never moves
//   live      {revision, molecule, movie, labels, positions, colours, predicted, reference, broken}: what moves; lists
//             of numbers are [first, count] within `values`
//   values    float32 numbers (little endian)
//   movie     float32 positions of all its frames; `frame` counts them, `movie_id` says which movie it is
//   height    CSS height of the picture
//   own       model id of this widget
//
// nglview's bundle brings NGL and WebGL; each view owns one NGL stage.

const LIBRARY = Symbol.for("piwsl-lab NGL");
const TRIES = 40; // for a bundle that the page may still be loading
const BETWEEN_TRIES = 250; // ms
const ASK_EVERY = 3000; // ms
const LOST_AFTER = 30000; // ms without an answer, and the question may be asked again
const LONGEST_REST = 30000; // ms between two attempts to get WebGL back

// A kernel that has ended hears nothing; the panel around says so in words.
function tell(model, content) {
  try {
    model.send(content);
  } catch (error) {
    console.info(`piwsl-lab: ${content.type} was not heard: ${error.message}`);
  }
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// NGL is private to nglview's bundle. Its view class runs a text where NGL is in scope: that hands it over.
async function findLibrary(manager) {
  for (let left = TRIES; ; left--) {
    try {
      const View = await manager.loadClass("NGLView", "nglview-js-widgets", "*");
      const found = {};
      View.prototype.executeCode.call(found, "this.NGL = NGL");
      return found.NGL;
    } catch (error) {
      if (!left) throw new Error(`nglview's extension is not in this page (${error.message || error}): pip install nglview, then load the page anew`);
      await pause(BETWEEN_TRIES);
    }
  }
}

function library(manager) {
  globalThis[LIBRARY] ??= findLibrary(manager).catch((error) => {
    delete globalThis[LIBRARY];
    throw error;
  });
  return globalThis[LIBRARY];
}

// Bytes of a trait may begin at any address, floats may not: hence the copy.
function floats(bytes) {
  if (!bytes || !bytes.byteLength) return new Float32Array(0);
  const [buffer, first] = bytes.buffer ? [bytes.buffer, bytes.byteOffset] : [bytes, 0];
  return new Float32Array(buffer.slice(first, first + bytes.byteLength));
}

// What lies behind an element: the colour of the page, whichever theme it has.
function paper(element) {
  for (let at = element; at; at = at.parentElement) {
    const parts = getComputedStyle(at).backgroundColor.match(/[\d.]+/g);
    if (parts && parts.length >= 3 && Number(parts[3] ?? 1) > 0.5) return parts.slice(0, 3).map(Number);
  }
  return [255, 255, 255];
}

const isDark = ([red, green, blue]) => 0.3 * red + 0.59 * green + 0.11 * blue < 128;
const hex = (rgb) => rgb.reduce((number, part) => 256 * number + Math.round(part), 0);
const repeat = (values, times) => Float32Array.from({ length: times * values.length }, (_, i) => values[i % values.length]);

// One NGL stage and what stands on it.
class Picture {
  constructor(NGL, box, background, callbacks) {
    this.NGL = NGL;
    this.callbacks = callbacks;
    this.box = box;
    this.buffers = {}; // "predicted" | "reference" -> {shaft, head}; "broken" | "box" -> {shaft}
    this.molecule = this.structure = this.state = this.loading = null;
    // No fog, and nothing cut away: NGL hides what is closer than 10 Å, which is all of a small molecule. No smoothing
    // half a second after every change: it draws sixteen times over, without a graphics card a core of the training.
    this.stage = new NGL.Stage(box, { fogNear: 100, fogFar: 100, clipNear: 0, clipFar: 100, clipDist: 0.5, sampleLevel: -1, tooltip: false });
    this.schemes = {
      balls: NGL.ColormakerRegistry.addScheme(this.scheme(() => this.state && this.state.colours), "piwsl"),
      sticks: NGL.ColormakerRegistry.addScheme(this.scheme(() => this.molecule && this.molecule.elements), "piwsl-elements"),
    };
    this.lost = (event) => {
      event.preventDefault();
      callbacks.lost();
    };
    this.canvas.addEventListener("webglcontextlost", this.lost);
    // A context is lost some moments before its event: nothing is drawn on it meanwhile.
    const { viewer } = this.stage;
    const [gl, draw] = [viewer.renderer.getContext(), viewer.render];
    viewer.render = (picking) => {
      if (gl.isContextLost()) viewer.renderPending = false;
      else draw.call(viewer, picking);
    };
    // A click picks an atom to measure; NGL would also move the picture.
    this.stage.mouseControls.remove("clickPick-left");
    this.stage.signals.clicked.add((hit) => hit && hit.atom && callbacks.picked(hit.atom.index));
    this.stage.signals.hovered.add((hit) => callbacks.hovered(hit && hit.atom ? this.molecule.labels[hit.atom.index] : ""));
    this.setPaper(background);
  }

  get canvas() {
    return this.stage.viewer.renderer.domElement;
  }

  scheme(colours) {
    return function () {
      this.atomColor = (atom) => (colours() || [])[atom.index] ?? 0x909090;
    };
  }

  setPaper(background) {
    this.dark = isDark(background);
    this.stage.setParameters({ backgroundColor: hex(background) });
  }

  // Put a state on the screen; another molecule is loaded first, and drawn when it is there.
  show(molecule, state) {
    this.state = state;
    if (this.loading === molecule.id) return;
    if (this.structure && this.molecule.id === molecule.id) this.draw();
    else
      this.load(molecule).catch((error) => {
        this.loading = null;
        this.callbacks.failed(error);
      });
  }

  async load(molecule) {
    const turned = this.molecule && this.molecule.id === molecule.id ? this.orientation() : this.turned;
    this.turned = null;
    this.loading = molecule.id;
    this.molecule = molecule;
    this.structure = this.names = null;
    this.clear();
    this.stage.removeAllComponents();
    const file = new Blob([molecule.text], { type: "text/plain" });
    const component = await this.stage.loadFile(file, { ext: "pdb", name: molecule.name, defaultRepresentation: false });
    if (this.gone || this.molecule !== molecule) return this.gone || this.stage.removeComponent(component); // a newer one came
    this.structure = component;
    this.loading = null;
    // Sticks keep the colours of the elements, so that oxygen is found while the balls show errors.
    component.addRepresentation("licorice", { color: this.schemes.sticks, radiusType: "size", radiusSize: 0.09, multipleBond: "off" });
    component.addRepresentation("spacefill", { color: this.schemes.balls, radiusType: "data", radiusData: molecule.radii });
    this.names = component.addRepresentation("label", {
      ...{ labelType: "text", labelText: molecule.labels, attachment: "middle-center", zOffset: 1, radiusType: "size" },
      ...{ radiusSize: 0.8, color: "black", showBorder: true, borderColor: "white", borderWidth: 0.25, visible: false },
    });
    if (molecule.box.length) {
      const corner = (k) => Float32Array.from(molecule.box.flatMap((edge) => edge[k]));
      this.buffers.box = { shaft: this.add(this.NGL.CylinderBuffer, corner(0), corner(1), [0.45, 0.45, 0.45], 0.03, 1) };
    }
    if (turned) {
      this.stage.viewerControls.orient(turned);
    } else {
      const rows = molecule.orientation.flatMap((row) => [...row, 0]);
      const turn = new this.NGL.Matrix4().set(...rows, 0, 0, 0, 1);
      this.stage.viewerControls.rotate(new this.NGL.Quaternion().setFromRotationMatrix(turn));
    }
    this.resize();
    this.draw();
  }

  draw() {
    const { state, structure, names } = this;
    if (!structure || !state || state.molecule !== this.molecule.id) return;
    structure.structure.updatePosition(state.positions);
    if (names.visible !== state.labels) names.setVisibility(state.labels);
    structure.updateRepresentations({ position: true, color: true });
    for (const name of ["predicted", "reference", "broken"]) this.drawArrows(name, state[name]);
    this.stage.viewer.requestRender();
  }

  drawArrows(name, arrows) {
    const there = this.buffers[name];
    if (!arrows) {
      if (there) Object.values(there).forEach((buffer) => buffer.setVisibility(false));
      return;
    }
    const { start, neck, tip, radius, opacity } = arrows; // rods have no tip
    const rgb = this.dark ? arrows.dark : arrows.colour;
    if (there && there.count !== start.length) this.remove(name); // other bonds
    if (!this.buffers[name]) {
      const made = { shaft: this.add(this.NGL.CylinderBuffer, start, neck, rgb, radius, opacity) };
      if (tip) made.head = this.add(this.NGL.ConeBuffer, neck, tip, rgb, 2.2 * radius, opacity);
      Object.defineProperty(made, "count", { value: start.length });
      this.buffers[name] = made;
      return;
    }
    // The same buffers for the life of the molecule: an update allocates nothing on the graphics card.
    const color = repeat(rgb, start.length / 3);
    const { shaft, head } = this.buffers[name];
    shaft.setAttributes({ position1: start, position2: neck, color, color2: color });
    shaft.setVisibility(true);
    if (!tip) return;
    head.setAttributes({ position1: neck, position2: tip, color });
    head.setVisibility(true);
  }

  add(Buffer, start, end, colour, radius, opacity) {
    const count = start.length / 3;
    const color = repeat(colour, count);
    const data = { position1: start, position2: end, color, color2: color, radius: repeat([radius], count) };
    const buffer = new Buffer(data, { opacity, openEnded: false, depthWrite: opacity === 1 });
    this.stage.viewer.add(buffer);
    return buffer;
  }

  remove(name) {
    for (const buffer of Object.values(this.buffers[name])) {
      this.stage.viewer.remove(buffer);
      buffer.dispose();
    }
    delete this.buffers[name];
  }

  clear() {
    Object.keys(this.buffers).forEach((name) => this.remove(name));
  }

  orientation() {
    return this.stage.viewerControls.getOrientation();
  }

  // Take the size of the page element and fill it with the molecule.
  resize() {
    this.stage.handleResize();
    if (!this.structure) return;
    // A sphere around everything: nothing leaves the view when the molecule is turned.
    const { camera, width, height } = this.stage.viewer;
    const half = (camera.fov * Math.PI) / 360;
    const aspect = Math.min(1, width / Math.max(1, height));
    const distance = this.molecule.reach / Math.sin(Math.atan(Math.tan(half) * aspect));
    this.stage.animationControls.zoomMove(new this.NGL.Vector3(...this.molecule.centre), -distance, 0);
    this.stage.viewer.requestRender();
  }

  shown() {
    const places = [];
    if (this.structure) this.structure.structure.eachAtom((atom) => places.push(atom.x, atom.y, atom.z));
    return places;
  }

  // Everything back to the page, its place among the few WebGL contexts of a browser too.
  dispose() {
    this.gone = true;
    this.canvas.removeEventListener("webglcontextlost", this.lost);
    this.clear();
    this.stage.removeAllComponents();
    Object.values(this.schemes).forEach((name) => this.NGL.ColormakerRegistry.removeScheme(name));
    const { renderer } = this.stage.viewer;
    this.stage.dispose();
    renderer.forceContextLoss();
    this.box.replaceChildren();
  }
}

function initialize({ model }) {
  keepListening(model, model.get("own"));
  drawAgain(model.widget_manager);
}

// The state of the model with its numbers in place.
function stateOf(model) {
  const live = model.get("live");
  const values = floats(model.get("values"));
  const part = ([first, count]) => values.subarray(first, first + count);
  const arrows = (spec) => spec && { ...spec, start: part(spec.start), neck: part(spec.neck), tip: spec.tip && part(spec.tip) };
  const state = { molecule: live.molecule, labels: live.labels, positions: part(live.positions), colours: part(live.colours) };
  if (live.movie && live.movie === model.get("movie_id")) {
    const movie = floats(model.get("movie"));
    const count = state.positions.length;
    const frame = Math.max(0, Math.min(model.get("frame"), movie.length / count - 1));
    state.positions = movie.subarray(frame * count, (frame + 1) * count);
    state.colours = model.get("molecule").elements;
    return state; // arrows rest
  }
  return { ...state, predicted: arrows(live.predicted), reference: arrows(live.reference), broken: arrows(live.broken) };
}

function render({ model, el }) {
  el.classList.add("piwsl-molecule");
  const make = (name) => {
    const element = document.createElement("div");
    element.className = name;
    return element;
  };
  const [frame, box, words, hover] = ["frame", "box", "words", "hover"].map((name) => make(`piwsl-molecule-${name}`));
  box.setAttribute("role", "img");
  frame.append(box, words, hover);
  el.append(frame);

  let [picture, waiting, building, gone, inView] = [null, 0, false, false, true];
  let [width, height, background, turned] = [0, 0, [255, 255, 255], null];
  let [rest, wake, asleep] = [0, 0, false]; // ms, a time, and whether nobody looked, when WebGL was lost
  const sized = () => el.isConnected && box.clientWidth > 0 && box.clientHeight > 0;
  const say = (text) => {
    words.textContent = text;
    words.style.display = text ? "" : "none";
  };

  const later = () => {
    if (!gone) waiting ||= requestAnimationFrame(update);
  };

  const lost = () => {
    turned = picture.orientation();
    picture.dispose();
    picture = null;
    // Where too many are in view they must not take turns fast; one that is out of view waits until it is seen.
    rest = inView ? Math.min(LONGEST_REST, 2 * rest || 500) : 0;
    wake = performance.now() + rest;
    asleep = !inView;
    setTimeout(later, rest + 50);
  };

  const failed = (error) => {
    say(`The molecule cannot be drawn and is tried again: ${error.message}`);
    setTimeout(later, 5000);
  };

  async function build() {
    if (building || performance.now() < wake || (asleep && !inView)) return;
    building = true;
    try {
      const NGL = await library(model.widget_manager);
      if (gone || !sized()) return;
      background = paper(frame);
      try {
        picture = new Picture(NGL, box, background, {
          lost,
          failed,
          picked: (atom) => tell(model, { type: "picked", atom }),
          hovered: (name) => (hover.textContent = name),
        });
      } catch (error) {
        box.replaceChildren();
        throw new Error(`this browser gives no WebGL (${error.message}): close other pages with molecules, or allow hardware acceleration in its settings`);
      }
      picture.turned = turned;
      say("");
    } catch (error) {
      failed(error);
    } finally {
      building = false;
    }
    later();
  }

  function update() {
    waiting = 0;
    if (gone || !sized()) return; // whoever shows it calls again
    if (!picture) {
      build();
      return;
    }
    if (box.clientWidth !== width || box.clientHeight !== height) {
      [width, height] = [box.clientWidth, box.clientHeight];
      picture.resize();
    }
    const now = paper(frame);
    if (now.join() !== background.join()) {
      background = now;
      picture.setPaper(now);
    }
    const molecule = model.get("molecule");
    if (!molecule.name || !model.get("live").positions) return; // the first message was lost: `ask` has it sent again
    box.setAttribute("aria-label", `Molecule ${molecule.name}`);
    picture.show(molecule, stateOf(model));
  }

  const setHeight = () => {
    frame.style.height = model.get("height");
  };
  setHeight();
  say("");

  // Which state this page has. Python answers, and sends all of its own where they differ: a lost message is mended.
  let asked = 0;
  const ask = () => {
    if (gone || document.hidden || !sized()) return;
    later(); // the colour of the page may have changed by now
    if (asked && performance.now() - asked < LOST_AFTER) return;
    asked = performance.now();
    tell(model, { type: "have", revision: model.get("live").revision, molecule: model.get("molecule").id, movie: model.get("movie_id") });
  };
  const told = (message) => {
    if (message.type === "current") asked = 0;
  };

  const resized = new ResizeObserver(later);
  resized.observe(box);
  const seen = new IntersectionObserver((entries) => {
    inView = entries[entries.length - 1].isIntersecting;
    if (inView) later();
  });
  seen.observe(frame);
  const theme = new MutationObserver(() => [0, 300, 1500].forEach((ms) => setTimeout(later, ms))); // its CSS comes later
  for (const element of [document.body, document.documentElement])
    theme.observe(element, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-jp-theme-name", "class", "theme"] });
  model.on("change", later);
  model.on("change:height", setHeight);
  model.on("msg:custom", told);
  document.addEventListener("visibilitychange", later);
  const asking = setInterval(ask, ASK_EVERY);
  setTimeout(ask, 0);
  later();

  // For tests: positions as they are on the screen, [x, y, z, x, …].
  el.piwsl = { shown: () => (picture ? picture.shown() : []), draw: later };

  return () => {
    gone = true;
    clearInterval(asking);
    cancelAnimationFrame(waiting);
    [resized, seen, theme].forEach((observer) => observer.disconnect());
    document.removeEventListener("visibilitychange", later);
    model.off("change", later);
    model.off("change:height", setHeight);
    model.off("msg:custom", told);
    if (picture) picture.dispose();
    delete el.piwsl;
  };
}

export default { initialize, render };
