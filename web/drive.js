// drive.js - hands on the robot: keys, sticks on the screen and a gamepad become one step, 20 times a second.
//
// A step is [x, y, z, yaw], each -1..1 of what the robot may do in one step of its policy: x away from it, y to its left, z up, yaw
// counter-clockwise. It is sent also when nothing is pressed: that is the operator's sign of life. Nothing is sent while the page is hidden.

const HZ = 20
const SLOW = 0.25
const DEAD = 0.12 // of a stick

const AXES = {
  KeyW: [0, 1], KeyS: [0, -1], KeyA: [1, 1], KeyD: [1, -1],
  KeyR: [2, 1], KeyF: [2, -1], KeyQ: [3, 1], KeyE: [3, -1],
}
const GRIPPER = { KeyG: 0, KeyH: 1 }

const typing = (e) => e.target instanceof HTMLInputElement && e.target.type !== "range"
const clamp = (x) => Math.max(-1, Math.min(1, x))
const bend = (x) => (Math.abs(x) < DEAD ? 0 : (x - Math.sign(x) * DEAD) / (1 - DEAD))

export class Drive {
  // on: {send(move), stop(), take(), mark(what), pad(name)}
  constructor(on) {
    this.on = on
    this.keys = new Set()
    this.slow = false
    this.gripper = undefined // as it is
    this.speed = 0.5
    this.pressed = new Set() // a gamepad's buttons
    this.sticks = [new Stick("stick-xy"), new Stick("stick-zr")]
    addEventListener("keydown", (e) => this.keydown(e), true)
    addEventListener("keyup", (e) => this.keyup(e))
    addEventListener("blur", () => this.letGo())
    document.addEventListener("visibilitychange", () => this.letGo())
    for (const b of document.querySelectorAll("[data-gripper]")) {
      b.addEventListener("click", () => this.setGripper(Number(b.dataset.gripper)))
    }
    setInterval(() => this.tick(), 1000 / HZ)
    this.driving = false
  }

  setDriving(driving) {
    if (driving === this.driving) return
    this.driving = driving
    this.letGo()
    this.setGripper(undefined)
  }

  setGripper(to) {
    this.gripper = to
    for (const b of document.querySelectorAll("[data-gripper]")) {
      b.setAttribute("aria-pressed", String(Number(b.dataset.gripper) === to))
    }
  }

  letGo() {
    this.keys.clear()
    this.slow = false
    for (const s of this.sticks) s.letGo()
    this.showKeys()
  }

  keydown(e) {
    this.slow = e.shiftKey
    if (e.code === "Escape" || (e.code === "Space" && !typing(e))) {
      e.preventDefault()
      if (!e.repeat) this.on.stop()
      return
    }
    if (typing(e) || e.ctrlKey || e.metaKey || e.altKey) return
    if (e.code in AXES && this.driving) {
      this.keys.add(e.code)
      this.showKeys()
      e.preventDefault()
    } else if (e.code in GRIPPER && this.driving) {
      this.setGripper(GRIPPER[e.code])
    } else if (!e.repeat) {
      this.shortcut(e)
    }
  }

  shortcut(e) {
    if (e.code === "KeyT") this.on.take()
    if (/^Digit[123]$/.test(e.code)) this.on.mark(["good", "bad", "wrong"][Number(e.code[5]) - 1])
    if (e.key === "/") {
      e.preventDefault()
      document.getElementById("sentence").focus()
    }
  }

  keyup(e) {
    if (e.code === "Space" && !typing(e)) e.preventDefault() // it pushes no button
    this.slow = e.shiftKey
    this.keys.delete(e.code)
    this.showKeys()
  }

  showKeys() {
    for (const k of document.querySelectorAll("kbd")) k.classList.toggle("down", this.keys.has(k.dataset.key))
  }

  // Buttons work once a press; sticks add up with everything else.
  gamepad() {
    const pad = navigator.getGamepads?.().find((p) => p && p.connected && p.mapping === "standard")
    this.on.pad(pad ? pad.id.replace(/\s*\(.*\)$/, "") : "")
    if (!pad) return [0, 0, 0, 0]
    const actions = {
      0: () => this.setGripper(0), 1: () => this.setGripper(1), 2: () => this.on.take(), 3: () => this.on.mark("wrong"),
      8: () => this.on.stop(), 9: () => this.on.stop(),
    }
    for (const [i, act] of Object.entries(actions)) {
      const down = pad.buttons[i]?.pressed
      if (down && !this.pressed.has(i)) act()
      this.pressed[down ? "add" : "delete"](i)
    }
    const [lx, ly, rx, ry] = pad.axes.map(bend)
    return [-ly, -lx, -ry, -rx]
  }

  step() {
    const sum = this.gamepad()
    for (const k of this.keys) sum[AXES[k][0]] += AXES[k][1]
    const [xy, zr] = this.sticks
    sum[0] -= xy.y
    sum[1] -= xy.x
    sum[2] -= zr.y
    sum[3] -= zr.x
    const speed = this.speed * (this.slow ? SLOW : 1)
    return sum.map((x) => Math.round(1e4 * clamp(x) * speed) / 1e4 + 0)
  }

  tick() {
    const step = this.step() // buttons of a gamepad count also when nobody drives
    if (!this.driving || document.hidden) return
    const move = { do: "move", step }
    if (this.gripper !== undefined) move.gripper = this.gripper
    this.on.send(move)
  }
}

// A stick under a finger: x to the right, y down, -1..1.
class Stick {
  constructor(id) {
    this.el = document.getElementById(id)
    this.knob = this.el.querySelector("i")
    this.letGo()
    this.el.addEventListener("pointerdown", (e) => {
      this.el.setPointerCapture(e.pointerId)
      this.pointer = e.pointerId
      this.moved(e)
    })
    this.el.addEventListener("pointermove", (e) => e.pointerId === this.pointer && this.moved(e))
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
      this.el.addEventListener(end, (e) => e.pointerId === this.pointer && this.letGo())
    }
  }

  moved(e) {
    const box = this.el.getBoundingClientRect()
    const r = 0.36 * box.width
    let x = (e.clientX - box.left - box.width / 2) / r
    let y = (e.clientY - box.top - box.height / 2) / r
    const d = Math.max(1, Math.hypot(x, y))
    this.set(bend(x / d), bend(y / d))
  }

  letGo() {
    this.pointer = undefined
    this.set(0, 0)
  }

  set(x, y) {
    this.x = x
    this.y = y
    this.knob.style.transform = `translate(${(90 * x).toFixed(1)}%, ${(90 * y).toFixed(1)}%)` // of itself
  }
}
