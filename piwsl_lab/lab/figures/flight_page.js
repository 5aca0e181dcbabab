// The page of a saved flight: molecules that move, their curves, one slider. It needs no network and no Python.
// `flight` (written by export.py): title, times (ps), pilots [{name, colour, numbers, words, sizes, pairs, frames,
// lost}], reach and centre of the picture (Å), curves (figure of plotly). Frames are float32, base64: [T, n, 3].
(() => {
  const flight = JSON.parse(document.getElementById("flight").textContent);
  const element = (id) => document.getElementById(id);
  const slider = element("moment");
  slider.max = flight.times.length - 1;

  const floats = (text) => new Float32Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
  flight.pilots.forEach((pilot) => (pilot.frames = floats(pilot.frames)));

  // x, y and z of the atoms, and of the bonds with a gap behind each.
  const picture = (pilot, k) => {
    const n = pilot.words.length;
    const first = Math.min(k, pilot.frames.length / (3 * n) - 1) * 3 * n;
    const at = (atom, axis) => pilot.frames[first + 3 * atom + axis];
    const atoms = [0, 1, 2].map((axis) => Array.from({ length: n }, (_, atom) => at(atom, axis)));
    const bonds = [0, 1, 2].map((axis) => pilot.pairs.flatMap(([i, j]) => [at(i, axis), at(j, axis), null]));
    return [bonds, atoms];
  };

  const axis = (k) => ({ visible: false, range: [flight.centre[k] - flight.reach, flight.centre[k] + flight.reach] });
  const config = { displaylogo: false, displayModeBar: false, responsive: true };
  const drawn = flight.pilots.map((pilot, p) => {
    const [bonds, atoms] = picture(pilot, 0);
    const lines = { type: "scatter3d", mode: "lines", hoverinfo: "skip", line: { color: "#888", width: 8 } };
    const balls = { type: "scatter3d", mode: "markers", hoverinfo: "text", text: pilot.words };
    balls.marker = { size: pilot.sizes, color: pilot.colours, opacity: 1, line: { color: "#444", width: 1 } };
    const scene = { xaxis: axis(0), yaxis: axis(1), zaxis: axis(2), aspectmode: "cube" };
    scene.camera = { eye: { x: 0.9, y: 0.9, z: 0.5 } };
    const data = [
      { ...lines, x: bonds[0], y: bonds[1], z: bonds[2] },
      { ...balls, x: atoms[0], y: atoms[1], z: atoms[2] },
    ];
    const layout = { margin: { l: 0, r: 0, t: 0, b: 0 }, showlegend: false, uirevision: "keep the reader's view", scene };
    return Plotly.newPlot(`molecule-${p}`, data, layout, config);
  });
  if (flight.curves) drawn.push(Plotly.newPlot("curves", flight.curves.data, flight.curves.layout, config));
  else element("curves").hidden = true;

  let busy = false;
  let wanted = null;
  // Shows a moment; what is asked for while it draws is drawn afterwards, the last wish only.
  const show = async (k) => {
    slider.value = k;
    const time = flight.times[k];
    element("time").textContent = `${time.toFixed(3)} ps`;
    flight.pilots.forEach((pilot, p) => {
      const lost = pilot.lost !== null && time >= pilot.lost;
      element(`words-${p}`).textContent = lost ? `lost at ${pilot.lost.toFixed(3)} ps` : "";
    });
    wanted = k;
    if (busy) return;
    busy = true;
    await Promise.all(drawn);
    while (wanted !== null) {
      const now = wanted;
      wanted = null;
      await Promise.all(
        flight.pilots.map((pilot, p) => {
          const [bonds, atoms] = picture(pilot, now);
          const columns = (a) => [bonds[a], atoms[a]];
          return Plotly.restyle(`molecule-${p}`, { x: columns(0), y: columns(1), z: columns(2) }, [0, 1]);
        })
      );
      const move = {};
      (element("curves").layout?.shapes ?? []).forEach((shape, s) => {
        if (shape.name === "cursor") move[`shapes[${s}].x0`] = move[`shapes[${s}].x1`] = flight.times[now];
      });
      if (flight.curves) await Plotly.relayout("curves", move);
    }
    busy = false;
  };

  let clock = null;
  const pause = () => {
    clearInterval(clock);
    clock = null;
    element("play").textContent = "▶ play";
  };
  const play = () => {
    if (Number(slider.value) >= Number(slider.max)) slider.value = 0;
    element("play").textContent = "❚❚ pause";
    clock = setInterval(() => {
      if (busy) return; // a slow machine plays slower, it does not skip
      show(Math.min(Number(slider.value) + 1, Number(slider.max))); // a flight may have one moment
      if (Number(slider.value) >= Number(slider.max)) pause();
    }, 50);
  };
  element("play").onclick = () => (clock ? pause() : play());
  slider.oninput = () => {
    if (clock) pause();
    show(Number(slider.value));
  };
  if (flight.curves) drawn.at(-1).then((curves) =>
    curves.on("plotly_click", (event) => {
      if (clock) pause();
      const x = event.points[0].x;
      const distance = flight.times.map((time) => Math.abs(time - x));
      show(distance.indexOf(Math.min(...distance)));
    })
  );
  // Positions as they are on the screen, for every pilot: a test reads them.
  window.shown = () =>
    flight.pilots.map((_, p) => {
      const { x, y, z } = element(`molecule-${p}`).data[1];
      return x.flatMap((_, atom) => [x[atom], y[atom], z[atom]]);
    });
  show(0);
})();
