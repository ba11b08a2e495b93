// eyes.js - the tiles: a picture of each camera and the robot's body; one is large, a touch on another makes that one large.

import { Body } from "./body.js"
import { $, element, set } from "./panels.js"

const OLD_S = 0.5

export class Eyes {
  constructor() {
    this.cameras = []
    this.body = undefined
    this.large = ""
  }

  tile(name, aspect) {
    const el = element("figure", "tile")
    const canvas = element("canvas")
    const label = element("figcaption")
    const age = element("em")
    label.append(element("span", "", name === "body" ? "3-D" : name), age)
    el.append(canvas, label)
    el.tabIndex = 0
    el.dataset.tile = name
    el.style.setProperty("--aspect", aspect)
    canvas.setAttribute("role", "img")
    canvas.setAttribute("aria-label", name)
    el.addEventListener("click", () => this.enlarge(name))
    el.addEventListener("keydown", (e) => e.key === "Enter" && this.enlarge(name))
    $("tiles").append(el)
    return { el, canvas, age, busy: false }
  }

  enlarge(name) {
    this.large = name
    for (const el of $("tiles").children) el.classList.toggle("large", el.dataset.tile === name)
  }

  state(s) {
    const cameras = s.cameras ?? []
    const links = s.links ?? []
    const names = JSON.stringify([cameras.map((c) => c.name), links.length > 0])
    if (names !== this.names) this.build(names, cameras, links)
    cameras.forEach((c, i) => {
      const known = c.age_s >= 0
      const old = c.gone || !known || c.age_s > OLD_S
      this.cameras[i].el.classList.toggle("old", old)
      set(this.cameras[i].age, !old ? "" : c.gone ? "unplugged" : known ? `no picture for ${c.age_s.toFixed(1)} s` : "no picture")
    })
    this.body?.set(links)
  }

  build(names, cameras, links) {
    this.names = names
    $("tiles").replaceChildren()
    this.cameras = cameras.map((c) => this.tile(c.name, c.w > 0 && c.h > 0 ? c.w / c.h : 4 / 3))
    this.body = links.length > 0 ? new Body(this.tile("body", 4 / 3).canvas) : undefined
    const all = [...cameras.map((c) => c.name), ...(this.body ? ["body"] : [])]
    this.enlarge(all.includes(this.large) ? this.large : all[0])
  }

  // The newest picture; one that comes while another is being decoded is skipped.
  async picture(i, bytes) {
    const c = this.cameras[i]
    if (!c || c.busy) return
    c.busy = true
    try {
      const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/jpeg" }))
      if (c.canvas.width !== bitmap.width) c.canvas.width = bitmap.width
      if (c.canvas.height !== bitmap.height) c.canvas.height = bitmap.height
      c.canvas.getContext("2d").drawImage(bitmap, 0, 0)
      bitmap.close()
    } catch {
      set(c.age, "a damaged picture")
    }
    c.busy = false
  }
}
