// body.js - the robot as a body in space: its links as capsules on a floor, seen from wherever one drags the view to.
//
// A painter's picture on a plain canvas: every link is a round stroke, light above and dark below, far ones first. It needs no WebGL.

const LIGHT = [-0.35, -0.5, 0.8]

export class Body {
  constructor(canvas) {
    this.canvas = canvas
    this.g = canvas.getContext("2d")
    this.shown = [] // links as drawn
    this.from = []
    this.to = []
    this.view = { turn: -0.9, tilt: 0.42, far: 1 }
    this.centre = undefined
    this.pointers = new Map()
    this.trail = []
    canvas.addEventListener("pointerdown", (e) => this.down(e))
    canvas.addEventListener("pointermove", (e) => this.moved(e))
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (e) => this.pointers.delete(e.pointerId))
    canvas.addEventListener("wheel", (e) => this.zoom(e), { passive: false })
    canvas.addEventListener("dblclick", () => this.reset())
    new ResizeObserver(() => this.draw()).observe(canvas)
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw())
  }

  reset() {
    this.view = { turn: -0.9, tilt: 0.42, far: 1 }
    this.draw()
  }

  down(e) {
    this.canvas.setPointerCapture(e.pointerId)
    this.pointers.set(e.pointerId, [e.clientX, e.clientY])
  }

  spread() {
    const [a, b] = [...this.pointers.values()]
    return Math.hypot(a[0] - b[0], a[1] - b[1])
  }

  moved(e) {
    const was = this.pointers.get(e.pointerId)
    if (!was) return
    const before = this.pointers.size === 2 ? this.spread() : 0
    this.pointers.set(e.pointerId, [e.clientX, e.clientY])
    if (this.pointers.size === 2) {
      this.setFar(this.view.far * (before / Math.max(1, this.spread())))
    } else {
      this.view.turn -= (e.clientX - was[0]) * 0.008
      this.view.tilt = Math.max(-0.1, Math.min(1.5, this.view.tilt + (e.clientY - was[1]) * 0.006))
    }
    this.draw()
  }

  zoom(e) {
    e.preventDefault()
    this.setFar(this.view.far * Math.exp(e.deltaY * 0.001))
    this.draw()
  }

  setFar(far) {
    this.view.far = Math.max(0.35, Math.min(3, far))
  }

  // New links [[x1,y1,z1,x2,y2,z2,radius], ...]: drawn on the way there, until the next come.
  set(links) {
    if (JSON.stringify(links) === JSON.stringify(this.to)) return
    if (links.length !== this.to.length) {
      this.shown = links
      this.centre = undefined
      this.trail = []
    }
    this.from = this.shown
    this.to = links
    this.since = performance.now()
    this.frame()
  }

  frame() {
    const t = this.small() ? 1 : Math.min(1, (performance.now() - this.since) / 100)
    this.shown = this.to.map((l, i) => l.map((x, k) => this.from[i][k] + t * (x - this.from[i][k])))
    this.draw()
    if (t < 1) requestAnimationFrame(() => this.frame())
  }

  small() {
    return this.canvas.clientWidth < 300
  }

  // Where the robot stands, and how large it is: looked at once, so that the picture stands still while it moves.
  frameOn() {
    const lo = [Infinity, Infinity, Infinity]
    const hi = [-Infinity, -Infinity, -Infinity]
    for (const l of this.shown) {
      for (const p of [l.slice(0, 3), l.slice(3, 6)]) {
        p.forEach((x, k) => {
          lo[k] = Math.min(lo[k], x)
          hi[k] = Math.max(hi[k], x)
        })
      }
    }
    this.floor = Math.min(0, lo[2])
    this.centre = lo.map((x, k) => (x + hi[k]) / 2)
    this.centre[2] = 0.45 * (this.floor + hi[2]) + 0.1 * this.floor
    this.size = Math.max(0.25, Math.hypot(...hi.map((x, k) => x - lo[k])))
  }

  // -> [x, y on the canvas, depth, scale]
  project(p) {
    const { turn, tilt, far } = this.view
    const [x, y, z] = p.map((v, k) => (v - this.centre[k]) / this.size)
    const ct = Math.cos(turn), st = Math.sin(turn), cu = Math.cos(tilt), su = Math.sin(tilt)
    const right = x * -st + y * ct
    const away = -(x * ct + y * st)
    const up = z * cu + away * su
    const depth = 2.6 * far + away * cu - z * su
    const scale = (1.75 * Math.min(this.w, this.h * 1.25)) / Math.max(0.2, depth)
    return [this.w / 2 + right * scale, this.h / 2 - up * scale, depth, scale / this.size]
  }

  colours() {
    const css = getComputedStyle(this.canvas)
    return { floor: css.getPropertyValue("--grid"), body: css.getPropertyValue("--body").split(",").map(Number), trail: css.getPropertyValue("--accent") }
  }

  draw() {
    const box = this.canvas.getBoundingClientRect()
    const dpr = Math.min(2, devicePixelRatio)
    if (box.width < 4 || this.shown.length === 0) return
    if (!this.centre) this.frameOn()
    this.w = box.width
    this.h = box.height
    const [w, h] = [Math.round(box.width * dpr), Math.round(box.height * dpr)]
    if (this.canvas.width !== w) this.canvas.width = w
    if (this.canvas.height !== h) this.canvas.height = h
    this.g.setTransform(dpr, 0, 0, dpr, 0, 0)
    this.g.clearRect(0, 0, box.width, box.height)
    const c = this.colours()
    this.drawFloor(c)
    this.drawShadow()
    this.drawTrail(c)
    const links = this.shown.map((l) => ({ a: this.project(l.slice(0, 3)), b: this.project(l.slice(3, 6)), l }))
    links.sort((p, q) => q.a[2] + q.b[2] - p.a[2] - p.b[2])
    for (const link of links) this.drawLink(link, c)
  }

  line(a, b, width, colour) {
    const g = this.g
    g.lineWidth = width
    g.strokeStyle = colour
    g.beginPath()
    g.moveTo(a[0], a[1])
    g.lineTo(b[0], b[1])
    g.stroke()
  }

  drawFloor(c) {
    const step = this.size > 1.2 ? 0.2 : 0.1
    const n = 7
    const x0 = Math.round(this.centre[0] / step) * step
    const y0 = Math.round(this.centre[1] / step) * step
    this.g.lineCap = "butt"
    for (let i = -n; i <= n; i++) {
      for (let k = -n; k < n; k++) { // in pieces, so that the floor fades towards its edge
        const fade = Math.max(0, 1 - Math.hypot(i, k + 0.5) / n)
        if (fade === 0) continue
        this.g.globalAlpha = fade
        const at = (u, v) => this.project([x0 + u * step, y0 + v * step, this.floor])
        this.line(at(i, k), at(i, k + 1), 1, c.floor)
        this.line(at(k, i), at(k + 1, i), 1, c.floor)
      }
    }
    this.g.globalAlpha = 1
  }

  drawShadow() {
    this.g.lineCap = "round"
    this.g.globalAlpha = 0.10
    for (const l of this.shown) {
      const drop = (x, y, z) => this.project([x + (z - this.floor) * 0.25, y + (z - this.floor) * 0.2, this.floor])
      const a = drop(l[0], l[1], l[2])
      this.line(a, drop(l[3], l[4], l[5]), Math.max(2, 2 * l[6] * a[3]), "#000")
    }
    this.g.globalAlpha = 1
  }

  // Where the end of the last link was.
  drawTrail(c) {
    const end = this.shown[this.shown.length - 1].slice(3, 6)
    const last = this.trail[this.trail.length - 1]
    if (!last || Math.hypot(...end.map((x, k) => x - last[k])) > 0.004) this.trail.push(end)
    if (this.trail.length > 160) this.trail.shift()
    const points = this.trail.map((p) => this.project(p))
    for (let i = 1; i < points.length; i++) {
      this.g.globalAlpha = (0.7 * i) / points.length
      this.line(points[i - 1], points[i], 1.5, c.trail)
    }
    this.g.globalAlpha = 1
  }

  // Brighter when its upper side faces the light, with a soft edge below: a tube.
  drawLink({ a, b, l }, c) {
    const along = [l[3] - l[0], l[4] - l[1], l[5] - l[2]]
    const n = Math.hypot(...along) || 1
    const facing = Math.sqrt(Math.max(0, 1 - (along.reduce((s, x, k) => s + (x / n) * LIGHT[k], 0)) ** 2))
    const shade = (k) => `rgb(${c.body.map((x) => Math.round(Math.min(255, x * k))).join(",")})`
    const width = Math.max(3, 2 * l[6] * 0.5 * (a[3] + b[3]))
    this.g.lineCap = "round"
    this.line(a, b, width, shade(0.62))
    for (let i = 1; i <= 5; i++) {
      const k = i / 5
      const lift = -0.16 * width * k
      const up = (p) => [p[0] + lift * 0.5, p[1] + lift]
      this.line(up(a), up(b), width * (1 - 0.72 * k), shade(0.62 + 0.42 * k * (0.55 + 0.45 * facing)))
    }
  }
}
