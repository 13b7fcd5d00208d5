// Runs in the page beside viser's client: draws per-face colours without sending the geometry again, shows the vertex under
// the cursor, and sends brush strokes. Python calls the functions of window.iseg; answers go to a hidden text field.
(() => {
  const HIDDEN = 255, REST = 0, SELECTED = 1;
  const page = (window.iseg = window.iseg || {});
  const viser = () => window.__viserMutable;
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const linear = Float32Array.from({ length: 256 }, (_, i) => {
    const c = i / 255;
    return 255 * (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  });
  let sent = 0, moved = null, scheduled = false;

  page.send = (value) => {
    value.n = ++sent;
    viser().sendMessage({ type: "GuiUpdateMessage", uuid: page.field, updates: { value: JSON.stringify(value) } });
  };

  // Called once for each connection. The token in this tab's storage leads back to its session after a reload.
  page.hello = (field, token) => {
    page.field = field;
    page.shape = null;
    page.wanted = null;
    page.brush = null;
    let own = token;
    try {
      own = sessionStorage.getItem("iseg") || token;
    } catch (_) {}
    page.send({ type: "hello", token: own, key: key(), dark: window.matchMedia("(prefers-color-scheme: dark)").matches });
  };
  // What lets this tab in where the page is shared: part of the address that was printed.
  function key() {
    const given = new URLSearchParams(window.location.search).get("key");
    try {
      if (given) sessionStorage.setItem("iseg-key", given);
      return given || sessionStorage.getItem("iseg-key") || "";
    } catch (_) {
      return given || "";
    }
  }
  page.keepToken = (token) => {
    try {
      sessionStorage.setItem("iseg", token);
    } catch (_) {}
  };

  // --- drawing -------------------------------------------------------------------------------------

  function findMesh(name) {
    const node = viser() && viser().nodeRefFromName[name];
    let found = null;
    if (node) node.traverse((object) => { if (!found && object.isMesh && object.geometry.index) found = object; });
    return found;
  }

  // Each pixel in the first or the second colour of its triangle, by the sign of what is interpolated between corners.
  function withBorders(shader) {
    const varying = "varying vec3 vSecond; varying float vSide;\n";
    shader.vertexShader = ("attribute vec3 color2; attribute float side;\n" + varying + shader.vertexShader)
      .replace("#include <color_vertex>", "#include <color_vertex>\nvSecond = color2; vSide = side;");
    shader.fragmentShader = (varying + shader.fragmentShader).replace("#include <color_fragment>",
      "diffuseColor.rgb *= mix(vSecond, vColor.rgb, clamp(vSide / max(fwidth(vSide), 1e-5) + 0.5, 0.0, 1.0));");
  }

  // The mesh node `name` has been sent: give each of its triangles corners of its own.
  page.setShape = (name, corners, normals, tries = 0) => {
    if (tries === 0) page.wanted = name;
    if (page.wanted !== name) return;
    const mesh = findMesh(name);
    if (!mesh || mesh.geometry.index.count !== corners) {
      if (tries < 600) requestAnimationFrame(() => page.setShape(name, corners, normals, tries + 1));
      return;
    }
    const geometry = mesh.geometry, ids = Uint32Array.from(geometry.index.array);
    const shared = geometry.attributes.position.array, Attribute = geometry.attributes.position.constructor;
    const places = new Float32Array(3 * corners);
    for (let c = 0; c < corners; c++) for (let k = 0; k < 3; k++) places[3 * c + k] = shared[3 * ids[c] + k];
    geometry.dispose();
    geometry.setAttribute("position", new Attribute(places, 3));
    geometry.setAttribute("normal", new Attribute(new Int8Array(bytes(normals).buffer), 3, true));
    geometry.setAttribute("color", new Attribute(new Uint8Array(3 * corners).fill(170), 3, true));
    geometry.setIndex(new Attribute(Uint32Array.from({ length: corners }, (_, c) => c), 1));
    geometry.computeBoundingSphere();
    geometry.setAttribute("color2", new Attribute(new Uint8Array(3 * corners).fill(170), 3, true));
    geometry.setAttribute("side", new Attribute(new Int8Array(corners).fill(127), 1, true));
    mesh.material.vertexColors = true;
    mesh.material.onBeforeCompile = withBorders;
    mesh.material.roughness = 0.75;
    mesh.material.needsUpdate = true;
    const base = page.base && page.base.name === name ? page.base.colors : null;
    page.shape = { name, mesh, ids, places, Attribute, labels: null, hidden: "", base };
    if (page.pending && page.pending.name === name) page.setColors(page.pending);
    page.listen();
    setTimeout(() => page.send({ type: "shape", shape: name }), 0);  // frames of a hidden tab would never come
  };

  // labels: a palette index for each triangle; soft: for each vertex how much of the selection's colour, or null.
  page.setColors = (update) => {
    const shape = page.shape;
    page.pending = update;
    if (!shape || shape.name !== update.name) return;
    const labels = bytes(update.labels), soft = update.soft === null ? null : bytes(update.soft);
    Object.assign(shape, { labels, soft, palette: update.palette, preview: null, borders: borders(update.borders) });
    page.names = update.names;
    page.previews = update.previews;
    paint();
    if (update.hidden !== shape.hidden) {
      const shown = [];
      for (let f = 0; f < labels.length; f++) if (labels[f] !== HIDDEN) shown.push(3 * f, 3 * f + 1, 3 * f + 2);
      const geometry = shape.mesh.geometry;
      geometry.dispose();
      geometry.setIndex(new shape.Attribute(Uint32Array.from(shown), 1));
      shape.hidden = update.hidden;
    }
    viser().requestRender();
    requestAnimationFrame(() => { page.painted = { count: update.count }; });
    if (page.stroke) page.stroke.waiting = false;
    else if (moved) hover();  // what is under the cursor may belong to something else now
  };

  function borders(texts) {
    if (!texts) return { faces: [], own: [], other: [], side: [] };
    const side = new Int8Array(bytes(texts.side).buffer), faces = new Uint32Array(bytes(texts.faces).buffer);
    return { faces, own: bytes(texts.own), other: bytes(texts.other), side };
  }

  // The colours of the file at the corners of the triangles; "" for none.
  page.setBase = (name, colors) => {
    page.base = { name, colors: colors ? bytes(colors) : null };
    if (!page.shape || page.shape.name !== name) return;
    page.shape.base = page.base.colors;
    if (page.shape.labels) paint();
    viser().requestRender();
  };

  // The faces that a click at the cursor would select, one bit each, in a lighter tint; "" for none.
  page.setPreview = (name, bits) => {
    const shape = page.shape;
    if (!shape || shape.name !== name || (!bits && !shape.preview)) return;
    const packed = bits ? bytes(bits) : null;
    shape.preview = packed && ((f) => (packed[f >> 3] >> (7 - (f & 7))) & 1);
    shape.whole = new Set(packed ? shape.labels : []);  // labels of which all is previewed, a proposal: to its drawn border
    for (let f = 0; packed && f < shape.labels.length; f++) if (!shape.preview(f)) shape.whole.delete(shape.labels[f]);
    page.previewed = bits ? (page.previewed || 0) + 1 : page.previewed;
    paint();
    viser().requestRender();
  };

  const TINT = 0.65;  // of what a part's colour covers of the file's

  function paint() {
    const { labels, soft, palette, preview, whole, ids, mesh, borders, base } = page.shape;
    const { color, color2, side } = mesh.geometry.attributes, low = palette[REST], high = palette[SELECTED];
    const fill = (array, f, label, tint) => {
      const plain = palette[label], blended = soft !== null && label <= SELECTED;
      for (let c = 3 * f; c < 3 * f + 3; c++) {
        const share = blended ? soft[ids[c]] / 255 : label === REST ? 0 : base ? TINT : 1, goal = blended ? high : plain;
        for (let i = 0; i < 3; i++) {
          const under = base ? base[3 * c + i] : low[i], own = under + share * (goal[i] - under);
          array[3 * c + i] = linear[Math.round(own + tint * (high[i] - own))];
        }
      }
    };
    for (let f = 0; f < labels.length; f++) {
      const label = labels[f] === HIDDEN ? REST : labels[f];
      fill(color.array, f, label, preview && label !== SELECTED && preview(f) ? 0.4 : 0);
    }
    side.array.fill(127);
    borders.faces.forEach((f, k) => {
      const tint = (label) =>
        preview && label !== SELECTED && (whole.has(label) || (preview(f) && !whole.has(labels[f]))) ? 0.4 : 0;
      fill(color.array, f, borders.own[k], tint(borders.own[k]));
      fill(color2.array, f, borders.other[k], tint(borders.other[k]));
      side.array.set(borders.side.subarray(3 * k, 3 * k + 3), 3 * f);
    });
    color.needsUpdate = color2.needsUpdate = side.needsUpdate = true;
  }

  // --- what is under the cursor --------------------------------------------------------------------

  // The ray of a mouse event in the frame of the mesh: origin and direction.
  function ray(event) {
    const { camera, canvas } = viser(), mesh = page.shape.mesh, box = canvas.getBoundingClientRect();
    const Vector = mesh.position.constructor;
    const x = (2 * (event.clientX - box.left)) / box.width - 1, y = 1 - (2 * (event.clientY - box.top)) / box.height;
    camera.updateMatrixWorld();
    mesh.updateWorldMatrix(true, false);
    const start = mesh.worldToLocal(new Vector().setFromMatrixPosition(camera.matrixWorld));
    const end = mesh.worldToLocal(new Vector(x, y, 0.5).unproject(camera));
    return [start.x, start.y, start.z, end.x - start.x, end.y - start.y, end.z - start.z];
  }

  // First triangle that a ray hits, and its corner nearest to that point (Moeller-Trumbore over all triangles).
  function pick([ox, oy, oz, dx, dy, dz]) {
    const { places, labels, ids } = page.shape;
    let best = -1, nearest = Infinity;
    for (let f = 0, p = 0; f < labels.length; f++, p += 9) {
      if (labels[f] === HIDDEN) continue;
      const ax = places[p], ay = places[p + 1], az = places[p + 2];
      const ux = places[p + 3] - ax, uy = places[p + 4] - ay, uz = places[p + 5] - az;
      const vx = places[p + 6] - ax, vy = places[p + 7] - ay, vz = places[p + 8] - az;
      const px = dy * vz - dz * vy, py = dz * vx - dx * vz, pz = dx * vy - dy * vx;
      const det = ux * px + uy * py + uz * pz;
      if (det > -1e-14 && det < 1e-14) continue;
      const sx = ox - ax, sy = oy - ay, sz = oz - az;
      const u = (sx * px + sy * py + sz * pz) / det;
      if (u < 0 || u > 1) continue;
      const qx = sy * uz - sz * uy, qy = sz * ux - sx * uz, qz = sx * uy - sy * ux;
      const v = (dx * qx + dy * qy + dz * qz) / det;
      if (v < 0 || u + v > 1) continue;
      const t = (vx * qx + vy * qy + vz * qz) / det;
      if (t > 0 && t < nearest) { nearest = t; best = f; }
    }
    if (best < 0) return null;
    const [x, y, z] = [ox + nearest * dx, oy + nearest * dy, oz + nearest * dz];
    const point = [x, y, z];
    const gap = (c) => Math.hypot(places[3 * c] - x, places[3 * c + 1] - y, places[3 * c + 2] - z);
    const corner = [3 * best, 3 * best + 1, 3 * best + 2].reduce((a, b) => (gap(b) < gap(a) ? b : a));
    return { face: best, vertex: ids[corner], point };
  }

  // Where a vertex is on the screen, in pixels of the window.
  page.where = (vertex) => {
    const { camera, canvas } = viser(), { mesh, ids, places } = page.shape, box = canvas.getBoundingClientRect();
    const c = 3 * ids.indexOf(vertex);
    camera.updateMatrixWorld();
    const at = mesh.localToWorld(new mesh.position.constructor(places[c], places[c + 1], places[c + 2])).project(camera);
    return [box.left + ((at.x + 1) / 2) * box.width, box.top + ((1 - at.y) / 2) * box.height];
  };

  function label() {
    let box = document.getElementById("iseg-hover");
    if (!box) {
      box = document.createElement("div");
      box.id = "iseg-hover";
      box.style.cssText = "position:fixed;pointer-events:none;z-index:50;padding:1px 7px;border-radius:4px;display:none;" +
        "font:12px/1.5 system-ui,sans-serif;background:rgba(30,34,42,.82);color:#fff;white-space:nowrap";
      document.body.appendChild(box);
    }
    return box;
  }

  function hover() {
    scheduled = false;
    const box = label(), shape = page.shape, viewer = viser();
    clearTimeout(page.rest);
    const seen = shape && shape.labels && viewer && moved.target === viewer.canvas && !moved.buttons;
    const hit = seen ? pick(ray(moved)) : null;
    ring(hit);
    if (!hit) {
      box.style.display = "none";
      if (shape && shape.labels) page.setPreview(shape.name, "");
      return;
    }
    const flipped = moved.shiftKey || moved.ctrlKey || moved.metaKey, what = hit.vertex + (flipped ? "-" : "+") + shape.labels[hit.face];
    if (page.previews && !page.brush && (what !== page.asked || !shape.preview)) {
      page.asked = what;
      page.rest = setTimeout(() => page.send({ type: "hover", vertex: hit.vertex, face: hit.face, flipped, shape: shape.name }), 30);
    }
    const name = (page.names || [])[shape.labels[hit.face]];
    box.textContent = "vertex " + hit.vertex + (name ? " · " + name : "");
    box.style.left = moved.clientX + 14 + "px";
    box.style.top = moved.clientY + 12 + "px";
    box.style.display = "block";
  }

  // A circle of the brush's size around the cursor.
  function ring(hit) {
    let circle = document.getElementById("iseg-ring");
    if (!circle) {
      circle = document.createElement("div");
      circle.id = "iseg-ring";
      circle.style.cssText = "position:fixed;pointer-events:none;z-index:50;border:2px solid #2966db;border-radius:50%;" +
        "transform:translate(-50%,-50%);display:none";
      document.body.appendChild(circle);
    }
    circle.style.display = hit && page.brush ? "block" : "none";
    if (!hit || !page.brush) return;
    const { camera, canvas } = viser(), mesh = page.shape.mesh;
    const at = mesh.localToWorld(new mesh.position.constructor(...hit.point)).applyMatrix4(camera.matrixWorldInverse);
    const height = canvas.getBoundingClientRect().height;
    const size = (page.brushRadius * camera.projectionMatrix.elements[5] * height) / -at.z;
    circle.style.width = circle.style.height = size + "px";
    circle.style.left = moved.clientX + "px";
    circle.style.top = moved.clientY + "px";
  }

  // The wheel goes to what is under the cursor, which stays there, and stops before it: the camera turns around as far
  // away as that is. Beside the mesh it goes to the plane that the camera turns around in.
  const NEAREST = 0.03, FARTHEST = 30;
  const goal = { x: 0, y: 0, since: -Infinity, point: null };
  function toCursor(event) {
    const viewer = viser(), control = viewer && viewer.cameraControl;
    if (!control || !page.shape || !page.shape.labels || event.target !== viewer.canvas) return;
    event.stopImmediatePropagation();
    event.preventDefault();
    const mesh = page.shape.mesh, Vector = mesh.position.constructor;
    const stays = performance.now() - goal.since < 600 && Math.hypot(event.clientX - goal.x, event.clientY - goal.y) < 4;
    const from = control.getPosition(new Vector(), stays), ahead = control.getTarget(new Vector(), stays).sub(from);
    const away = ahead.length();
    ahead.normalize();
    if (!stays) {
      const sight = ray(event), hit = pick(sight), along = mesh.localToWorld(new Vector(...sight.slice(0, 3))).negate();
      along.add(mesh.localToWorld(new Vector(sight[0] + sight[3], sight[1] + sight[4], sight[2] + sight[5])));
      goal.point = hit ? mesh.localToWorld(new Vector(...hit.point)) : from.clone().addScaledVector(along, away / along.dot(ahead));
    }
    Object.assign(goal, { x: event.clientX, y: event.clientY, since: performance.now() });
    const way = goal.point.clone().sub(from), depth = way.dot(ahead);
    const step = event.deltaY * (event.deltaMode ? 33 : 1) * (event.ctrlKey ? 8 : 1);
    const left = Math.min(Math.max(depth * Math.exp(Math.min(Math.max(step, -400), 400) * 0.001), NEAREST), FARTHEST);
    if (depth > 0) {
      from.addScaledVector(way, 1 - left / depth);
      const to = from.clone().addScaledVector(ahead, left);
      control.setLookAt(from.x, from.y, from.z, to.x, to.y, to.z, true);
    }
    viewer.requestRender();
    again();
  }
  const again = () => requestAnimationFrame(() => requestAnimationFrame(() => moved && hover()));

  // --- brush ---------------------------------------------------------------------------------------

  page.setBrush = (mode, radius) => {
    page.brush = mode;
    page.brushRadius = radius;
    if (moved) hover();
    if (viser() && viser().canvas) viser().canvas.style.cursor = mode ? "crosshair" : "";
  };

  // While `page.brush` is "add" or "erase", dragging on the mesh paints instead of turning the view.
  function sendStroke(last) {
    const stroke = page.stroke;
    if (!stroke || (stroke.waiting && !last) || (!stroke.rays.length && !last)) return;
    stroke.waiting = true;
    page.send({ type: "brush", stroke: stroke.id, mode: stroke.mode, shape: page.shape.name, rays: stroke.rays.splice(0, 64) });
  }
  function onDown(event) {
    if (!page.brush || !page.shape || event.button !== 0 || !viser() || event.target !== viser().canvas) return;
    const start = ray(event);
    if (!pick(start)) return;  // beside the mesh a drag turns the view as ever
    event.stopImmediatePropagation();
    event.preventDefault();
    const flipped = event.shiftKey || event.ctrlKey || event.metaKey;
    const mode = flipped ? (page.brush === "add" ? "erase" : "add") : page.brush;
    page.strokes = (page.strokes || 0) + 1;
    page.stroke = { id: page.strokes, mode, rays: [start], waiting: false };
    sendStroke(false);
  }
  function onMove(event) {
    moved = event;
    if (page.stroke) {
      event.stopImmediatePropagation();
      page.stroke.rays.push(ray(event));
      sendStroke(false);
    } else if (!scheduled) {
      scheduled = true;
      requestAnimationFrame(hover);
    }
  }
  function onUp(event) {
    if (!page.stroke) return;
    event.stopImmediatePropagation();
    sendStroke(true);
    page.stroke = null;
  }
  page.listen = () => {
    if (page.listening) return;
    page.listening = true;
    window.addEventListener("pointerdown", onDown, true);
    window.addEventListener("pointermove", onMove, true);
    window.addEventListener("pointerup", onUp, true);
    window.addEventListener("pointercancel", onUp, true);
    window.addEventListener("wheel", toCursor, { capture: true, passive: false });
    document.documentElement.addEventListener("pointerleave", () => {
      if (moved) hover(moved = { ...moved, target: null, buttons: 0 });
    });
    window.addEventListener("keydown", onKey);
    document.addEventListener("click", onPart);
    document.addEventListener("change", onPart);
    window.addEventListener("dragover", (event) => event.preventDefault());
    window.addEventListener("drop", onDrop);
    new MutationObserver(() => requestAnimationFrame(mark)).observe(document.body, { childList: true, subtree: true });
    setInterval(alive, 2000);
  };

  // --- around the mesh -----------------------------------------------------------------------------

  function notice(id, text, style) {
    let box = document.getElementById(id);
    if (!box) {
      box = document.createElement("div");
      box.id = id;
      box.style.cssText = "position:fixed;z-index:300;left:50%;top:12px;transform:translateX(-50%);padding:8px 16px;" +
        "border-radius:8px;font:14px/1.6 system-ui,sans-serif;color:#fff;background:#b3261e;white-space:pre-line;" + style;
      document.body.appendChild(box);
    }
    box.textContent = text;
    box.style.display = text ? "block" : "none";
  }
  function alive() {
    fetch("/alive", { cache: "no-store" }).then(
      () => notice("iseg-offline", "", ""),
      () => notice("iseg-offline", "Disconnected, reconnecting ... Your work is kept.", "")
    );
  }

  // The choices of groups of buttons that hold now.
  page.setMarks = (names) => {
    page.marks = names;
    mark();
  };
  function mark() {
    if (!document.getElementById("iseg-style")) {
      const style = document.createElement("style");
      style.id = "iseg-style";
      style.textContent = "button[data-iseg-on]{box-shadow:inset 0 0 0 2px #2966db;font-weight:700}";
      document.head.appendChild(style);
    }
    for (const button of document.querySelectorAll("button")) {
      const on = (page.marks || []).includes(button.textContent.trim());
      if (on !== button.hasAttribute("data-iseg-on")) button.toggleAttribute("data-iseg-on", on);
    }
  }

  const SHORTCUTS = "Click: include · Ctrl or Shift with it: exclude\nCtrl+Z, Ctrl+Y: undo, redo\n[ and ]: smaller, larger " +
    "part · 2: the default one\nP: propose parts (click: keep, Ctrl-click two: merge, Shift-click: split)\nX: include or exclude · B: brush · K: keep as part\nF: show all of it · Esc: cancel · ?: this list";
  function onKey(event) {
    if (event.target.closest && event.target.closest("input, textarea, [contenteditable]")) return;
    if (event.key === "?") {
      page.helping = !page.helping;
      notice("iseg-help", page.helping ? SHORTCUTS : "", "background:rgba(30,34,42,.94);top:64px");
    } else if (event.key === "Escape") {
      if (page.helping) notice("iseg-help", "", "");
      else page.send({ type: "escape" });
      page.helping = false;
    } else if ((event.key === "[" || event.key === "]") && !event.ctrlKey && !event.metaKey) {
      page.send({ type: "step", by: event.key === "[" ? -1 : 1 });
    }
  }

  // A row of the list of parts: its name, and what its signs do.
  function onPart(event) {
    const sign = event.target.closest && event.target.closest("[data-iseg-do]");
    if (!sign || (event.type === "change") !== (sign.tagName === "INPUT")) return;
    const { isegDo, isegPart } = sign.dataset;
    page.send({ type: "part", part: Number(isegPart), do: isegDo, text: sign.value || "" });
  }

  // A mesh or a session that is dropped on the page, in pieces that fit into messages.
  async function onDrop(event) {
    event.preventDefault();
    const file = event.dataTransfer && event.dataTransfer.files[0];
    if (!file) return;
    const content = new Uint8Array(await file.arrayBuffer()), size = 30000, count = Math.ceil(content.length / size) || 1;
    for (let i = 0; i < count; i++) {
      const data = btoa(String.fromCharCode(...content.subarray(i * size, (i + 1) * size)));
      page.send({ type: "drop", name: file.name, number: i, count, data });
      if (i % 50 === 49) await new Promise((done) => setTimeout(done, 50));
    }
  }
})();
