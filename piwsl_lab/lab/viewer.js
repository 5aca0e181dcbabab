// Evaluated once inside every nglview view: `this` is the NGLView, `NGL` is in scope.
// It gives the view one object, `this.piwsl`, with three verbs that viewer.py calls:
//   load(molecule)  show another molecule (text in PDB format, radii, box edges)
//   draw(state)     move atoms, colour them, place the arrows: everything that changes live, in one message
//   fit()           take the size of the page element and fill it with the molecule
if (!this.piwsl) {
  const view = this;
  const stage = view.stage;
  let structure = null; // NGL component
  let molecule = null;
  let state = null;
  let buffers = {}; // "predicted" | "reference" -> {shaft, head}; "broken" | "box" -> {shaft}
  let width = 0;

  // No fog, and nothing cut away: NGL hides what is closer than 10 Å, which is all of a small molecule.
  stage.setParameters({ backgroundColor: "white", fogNear: 100, fogFar: 100, clipNear: 0, clipFar: 100, clipDist: 0.5 });
  // Half a second after every change NGL would draw the picture sixteen times over to smooth its edges; without a graphics
  // card that takes a core from the training.
  stage.setParameters({ sampleLevel: -1 });
  const scheme = NGL.ColormakerRegistry.addScheme(function () {
    this.atomColor = (atom) => (state ? state.colours[atom.index] : 0x909090);
  }, "piwsl");

  const elements = NGL.ColormakerRegistry.addScheme(function () {
    this.atomColor = (atom) => molecule.elements[atom.index];
  }, "piwsl-elements");

  const repeat = (values, times) => Float32Array.from({ length: times * values.length }, (_, i) => values[i % values.length]);

  const add = (Buffer, start, end, colour, radius, opacity) => {
    const n = start.length / 3;
    const data = { position1: start, position2: end, color: repeat(colour, n), color2: repeat(colour, n), radius: repeat([radius], n) };
    const buffer = new Buffer(data, { opacity, openEnded: false, depthWrite: opacity === 1 });
    stage.viewer.add(buffer);
    return buffer;
  };

  const clear = () => {
    Object.values(buffers).forEach((parts) =>
      Object.values(parts).forEach((buffer) => {
        stage.viewer.remove(buffer);
        buffer.dispose();
      })
    );
    buffers = {};
  };

  const drawArrows = (name, arrows) => {
    if (!arrows) {
      if (buffers[name]) Object.values(buffers[name]).forEach((buffer) => buffer.setVisibility(false));
      return;
    }
    const [start, neck] = [arrows.start, arrows.neck].map((values) => new Float32Array(values));
    const tip = arrows.tip && new Float32Array(arrows.tip); // rods have none
    if (!buffers[name]) {
      buffers[name] = { shaft: add(NGL.CylinderBuffer, start, neck, arrows.colour, arrows.radius, arrows.opacity) };
      if (tip) buffers[name].head = add(NGL.ConeBuffer, neck, tip, arrows.colour, 2.2 * arrows.radius, arrows.opacity);
      return;
    }
    // The same buffers for the life of the molecule: an update allocates nothing on the graphics card.
    const colour = repeat(arrows.colour, start.length / 3);
    const { shaft, head } = buffers[name];
    shaft.setAttributes({ position1: start, position2: neck, color: colour, color2: colour });
    shaft.setVisibility(true);
    if (!tip) return;
    head.setAttributes({ position1: neck, position2: tip, color: colour });
    head.setVisibility(true);
  };

  const draw = () => {
    // A state of another molecule is followed by the message that loads it.
    if (!structure || !state || state.molecule !== molecule.id) return;
    structure.structure.updatePosition(new Float32Array(state.positions));
    structure.updateRepresentations({ position: true, color: true });
    drawArrows("predicted", state.predicted);
    drawArrows("reference", state.reference);
    drawArrows("broken", state.broken);
    stage.viewer.requestRender();
  };

  const fit = () => {
    view.setSize("100%", view.model.get("_view_height"));
    if (!structure) return;
    // A sphere around everything: nothing leaves the view when the molecule is turned.
    const half = (stage.viewer.camera.fov * Math.PI) / 360;
    const aspect = Math.min(1, stage.viewer.width / Math.max(1, stage.viewer.height));
    const distance = molecule.reach / Math.sin(Math.atan(Math.tan(half) * aspect));
    stage.animationControls.zoomMove(new NGL.Vector3(...molecule.centre), -distance, 0);
  };

  const load = async (next) => {
    molecule = next;
    structure = null;
    clear();
    stage.removeAllComponents();
    const file = new Blob([next.text], { type: "text/plain" });
    const component = await stage.loadFile(file, { ext: "pdb", name: next.name, defaultRepresentation: false });
    if (molecule !== next) return stage.removeComponent(component); // a newer molecule came meanwhile
    structure = component;
    // Sticks keep the colours of the elements, so that oxygen is found while the balls show errors.
    component.addRepresentation("licorice", { color: elements, radiusType: "size", radiusSize: 0.09, multipleBond: "off" });
    component.addRepresentation("spacefill", { color: scheme, radiusType: "data", radiusData: next.radii });
    if (next.box.length) {
      const corner = (k) => Float32Array.from(next.box.flatMap((edge) => edge[k]));
      buffers.box = { shaft: add(NGL.CylinderBuffer, corner(0), corner(1), [0.45, 0.45, 0.45], 0.03, 1) };
    }
    const turn = new NGL.Matrix4().set(...next.orientation.flatMap((row) => [...row, 0]), 0, 0, 0, 1);
    stage.viewerControls.rotate(new NGL.Quaternion().setFromRotationMatrix(turn));
    fit();
    draw();
  };

  // A view born in a hidden tab has no width until the tab opens, and nglview then sets its height to 0.
  const container = stage.viewer.container;
  const watch = new ResizeObserver(() => {
    const now = view.el.clientWidth;
    const lost = now > 0 && container.clientHeight === 0;
    if (now === width && !lost) return;
    // Plots that came to the page together with this view measure themselves when the window changes only.
    if (now > 0 && !width) setTimeout(() => window.dispatchEvent(new Event("resize")), 300);
    width = now;
    if (now > 0) fit();
  });
  watch.observe(view.el);
  watch.observe(container);

  // A click picks an atom to measure; NGL would also move the picture, and a label would name a residue.
  stage.mouseControls.remove("clickPick-left");
  stage.setParameters({ tooltip: false });
  stage.signals.clicked.add((hit) => {
    if (view.$pickingInfo) view.$pickingInfo.hide(); // nglview makes it after this script has run
    if (hit && hit.atom) view.send({ type: "piwsl_picked", atom: hit.atom.index });
  });

  this.piwsl = {
    load,
    fit,
    draw: (next) => {
      state = next;
      draw();
    },
    // Positions as they are on the screen, [x, y, z, x, …]: a test reads them.
    shown: () => {
      const places = [];
      if (structure) structure.structure.eachAtom((atom) => places.push(atom.x, atom.y, atom.z));
      return places;
    },
  };
  view.el.piwsl = this.piwsl;
}
