// panels.js - the state in words, bars and numbers. Every function takes what is there, and hides what is not.

export const $ = (id) => document.getElementById(id)

const MODES = {
  silent: ["Off", "Torque is off, the arm is limp"],
  standby: ["Standing", "It holds still, nobody moves it"],
  autonomous: ["On its own", "The policy moves it"],
  teleoperated: ["Driven", "Someone moves it by hand"],
}
const SEVERITIES = {
  hold: ["Holding", "It stands where it is"],
  retract: ["Going home", "It moves to its posture of rest"],
  stop: ["Stopped", "It stands, and stays so until someone looked"],
  terminate: ["Switched off", "Torque is off until someone looked"],
}

const set = (el, text) => el.textContent !== text && (el.textContent = text)
const fixed = (x, digits) => (Number.isFinite(x) ? x.toFixed(digits) : "\u2013")

function element(tag, className, text) {
  const el = document.createElement(tag)
  if (className) el.className = className
  if (text !== undefined) el.textContent = text
  return el
}

// As many children as items, made once.
function fit(parent, n, make) {
  while (parent.children.length > n) parent.lastChild.remove()
  while (parent.children.length < n) parent.append(make(parent.children.length))
  return parent.children
}

// It does not go on before a person has looked.
export const latched = (s) => s.severity in SEVERITIES

// What a person is told first. -> [word, plain words]
export function modeWords(s, mine) {
  if (latched(s)) return [SEVERITIES[s.severity][0], s.why || SEVERITIES[s.severity][1]]
  if (s.mode === "teleoperated" && mine) return ["You drive", s.why || "The robot does what your hands do"]
  const [word, text] = MODES[s.mode] ?? [s.mode ?? "Unknown", ""]
  return [word, s.why || text]
}

export function showMode(s, mine) {
  document.body.dataset.mode = s.mode ?? "silent"
  document.body.dataset.severity = s.severity ?? "none"
  const [word, why] = modeWords(s, mine)
  set($("mode-name"), word)
  set($("mode-why"), why)
  set($("robot-name"), s.robot ?? "flywheel")
  set($("robot-what"), [s.embodiment !== s.robot && s.embodiment, s.policy].filter(Boolean).join(" \u00b7 "))
  document.title = `${word} \u2013 ${s.robot ?? "flywheel"}`
}

export function showTrouble(s) {
  const stopped = latched(s)
  const faults = s.faults ?? []
  const refused = s.refused ?? []
  $("trouble").hidden = !stopped && faults.length === 0 && refused.length === 0
  $("acknowledge").hidden = !stopped
  set($("trouble-title"), stopped ? "What happened" : faults.length > 0 ? "Beware" : "Not now")
  const texts = [...faults, ...refused.map((r) => `refused: ${r}`)]
  fit($("faults"), texts.length, () => element("li"))
  texts.forEach((t, i) => set($("faults").children[i], t))
}

export function showRecording(r) {
  $("recording").hidden = !r
  if (!r) return
  const [word, text] = r.error ? ["Recording fails", r.error]
    : !r.on ? ["Not recorded", ""]
    : r.within === false ? ["Ready to record", `${r.episode} episodes`]
    : ["Recording", `episode ${r.episode} \u00b7 ${r.frames} frames, ${r.acknowledged ?? 0} on disk`]
  $("recording").className = r.error ? "broken" : word === "Recording" ? "on" : ""
  set($("recording-what"), word)
  set($("recording-frames"), text)
}

export function showPolicy(s) {
  const c = s.chunk ?? {}
  const n = c.horizon ?? 0
  set($("policy-name"), s.policy ?? "")
  $("subtask").hidden = !s.subtask
  set($("subtask"), s.subtask ?? "")
  const cells = fit($("chunk"), Math.min(n, 64), () => element("i"))
  for (let i = 0; i < cells.length; i++) {
    const name = i < (c.delay_rows ?? 0) ? "told" : ""
    cells[i].className = i === c.row ? `${name} now` : i < c.row ? `${name} done` : name
  }
  const where = c.row >= 0 ? `row ${c.row + 1} of ${n}` : `${n} rows`
  $("chunk").setAttribute("aria-label", n > 0 ? `chunk ${c.n}, ${where}` : "no chunk")
  set($("chunk-text"), c.n > 0
    ? `Chunk ${c.n}, ${where}: ${fixed(c.infer_ms, 0)} ms, ${c.delay_rows ?? 0} rows late, jump ${fixed(c.jump, 2)}`
    : "No chunk yet")
  const task = s.task
  $("judge").hidden = !task || !(task.success || task.reason)
  $("judge").className = task?.success ? "good" : "quiet"
  if (task) set($("judge"), task.success ? "The judge: done" : `The judge: ${task.reason ?? ""}`)
}

export function showNumbers(s) {
  const numbers = [
    ["latency p50", s.latency_ms && `${fixed(s.latency_ms.p50, 0)} ms`],
    ["p99", s.latency_ms && `${fixed(s.latency_ms.p99, 0)} ms`],
    ["cycles", s.cycles !== undefined && s.cycles.toLocaleString("en")],
    ["late", s.misses !== undefined && s.misses.toLocaleString("en")],
    ["running", s.t_s !== undefined && `${Math.floor(s.t_s / 60)}:${String(Math.floor(s.t_s % 60)).padStart(2, "0")}`],
  ].filter(([, text]) => text)
  const pairs = fit($("numbers"), numbers.length, () => {
    const pair = element("div")
    pair.append(element("dt"), element("dd"))
    return pair
  })
  numbers.forEach(([name, text], i) => {
    set(pairs[i].firstChild, name)
    set(pairs[i].lastChild, text)
  })
}

// The last 30 s of it.
const failures = []
export function showFailure(s) {
  const known = typeof s.failure === "number"
  $("failure").hidden = !known
  if (!known) return
  failures.push(s.failure)
  if (failures.length > 300) failures.shift()
  set($("failure-value"), fixed(s.failure, 2))
  $("failure-value").className = s.failure > 0.7 ? "bad" : s.failure > 0.4 ? "fair" : ""
  const canvas = $("failure-line")
  const g = canvas.getContext("2d")
  g.clearRect(0, 0, canvas.width, canvas.height)
  g.strokeStyle = getComputedStyle(canvas).color
  g.lineWidth = 2
  g.beginPath()
  failures.forEach((f, i) => g.lineTo(canvas.width - (failures.length - 1 - i) * (canvas.width / 300), canvas.height - 2 - f * (canvas.height - 4)))
  g.stroke()
}

const share = (x, a) => `${(100 * Math.max(0, Math.min(1, (x - a.min) / (a.max - a.min)))).toFixed(1)}%`

export function showAxes(axes = []) {
  $("joints").hidden = axes.length === 0
  const rows = fit($("axes"), axes.length, () => {
    const row = element("tr")
    const range = element("td", "wide")
    const bar = element("div", "bar")
    bar.append(element("i"), element("b"))
    range.append(bar)
    row.append(element("th"), range, element("td"), element("td"), element("td"))
    return row
  })
  axes.forEach((a, i) => {
    const cell = rows[i].children
    const [is, wanted] = cell[1].firstChild.children
    set(cell[0], a.name)
    is.style.left = share(a.q, a)
    wanted.style.left = share(a.command ?? a.q, a)
    const near = Math.min(a.q - a.min, a.max - a.q) < 0.03 * (a.max - a.min)
    cell[1].firstChild.className = near ? "bar near" : "bar"
    set(cell[2], fixed(a.q, 2))
    set(cell[3], fixed(a.v, 2))
    set(cell[4], fixed(a.effort, 1))
  })
}

export function addLines(lines) {
  const log = $("log")
  const atEnd = log.scrollTop + log.clientHeight > log.scrollHeight - 30
  for (const line of lines) log.append(element("div", /error|fail|stop|fault/i.test(line) ? "loud" : "", line))
  while (log.children.length > 500) log.firstChild.remove()
  if (atEnd) log.scrollTop = log.scrollHeight
}

export function clearLines() {
  $("log").replaceChildren()
}

let toastTimer
export function toast(text, bad = false) {
  const el = $("toast")
  el.hidden = false
  el.className = bad ? "bad" : ""
  el.textContent = text
  clearTimeout(toastTimer)
  toastTimer = setTimeout(() => (el.hidden = true), 3500)
}

export { element, fit, set }
