// main.js - the page: what the robot says goes to the panels, what people do goes to the robot.

import { Drive } from "./drive.js"
import { Eyes } from "./eyes.js"
import { Link } from "./link.js"
import * as p from "./panels.js"
import { $, toast } from "./panels.js"

const HISTORY = 8
const STILL_MS = 1500
const PATIENCE_MS = 1000 // between "take" answered and the state saying so

const eyes = new Eyes()
let state = {}
let takenAt = -Infinity

const mine = () => link.you > 0 && (state.holder === link.you || performance.now() - takenAt < PATIENCE_MS)

async function ask(command, said) {
  const error = await link.ask(command)
  if (error) toast(error, true)
  else if (said) toast(said)
  return !error
}

// ---- stop ----

async function stop() {
  takenAt = -Infinity
  const error = await link.ask({ do: "stop" })
  if (error) toast(`Stop did not reach the robot: ${error}`, true)
}
$("stop").addEventListener("pointerdown", (e) => e.button === 0 && stop()) // not when the finger is lifted again
$("stop").addEventListener("click", (e) => e.detail === 0 && stop()) // from a keyboard

// What is still so cannot be acknowledged away: an arm that leans on something has to be freed first.
async function acknowledge() {
  if (!(await ask({ do: "release" })) || !(await ask({ do: "acknowledge" }))) return
  await new Promise((later) => setTimeout(later, STILL_MS))
  if (p.latched(state)) toast("It is still so. Torque off makes the arm limp: hold it, free it, then go on.", true)
}
$("acknowledge").addEventListener("click", acknowledge)

// ---- what to do ----

let said = JSON.parse(localStorage.getItem("said") ?? "[]")
let back = -1 // how far back in it the arrow keys went

function remember(sentence) {
  said = [sentence, ...said.filter((s) => s !== sentence)].slice(0, HISTORY)
  localStorage.setItem("said", JSON.stringify(said))
  showHistory()
}

function showHistory() {
  const buttons = p.fit($("history"), said.length, () => {
    const b = p.element("button")
    b.type = "button"
    b.addEventListener("click", () => {
      $("sentence").value = b.textContent
      $("sentence").focus()
    })
    return b
  })
  said.forEach((s, i) => {
    p.set(buttons[i], s)
    buttons[i].classList.toggle("now", s === state.sentence)
  })
}

$("say").addEventListener("submit", async (e) => {
  e.preventDefault()
  const text = $("sentence").value.trim()
  if (text === "" || !(await ask({ do: "say", text }, `Told: ${text}`))) return
  remember(text)
  back = -1
  $("sentence").value = ""
  $("sentence").blur() // so that Space stops again
})
$("sentence").addEventListener("keydown", (e) => {
  if (e.key !== "ArrowUp" && e.key !== "ArrowDown") return
  e.preventDefault()
  back = Math.max(-1, Math.min(said.length - 1, back + (e.key === "ArrowUp" ? 1 : -1)))
  e.target.value = said[back] ?? ""
})

for (const what of ["start", "pause", "off", "new"]) $(what).addEventListener("click", () => ask({ do: what }))

// ---- take over, give back, marks ----

async function take() {
  if (mine()) {
    takenAt = -Infinity
    await ask({ do: "give" })
  } else if (await ask({ do: "take" })) {
    takenAt = performance.now()
  }
  show()
}
for (const id of ["take", "give"]) {
  $(id).addEventListener("click", (e) => {
    if (e.detail > 0) e.currentTarget.blur() // the next keys are the robot's
    take()
  })
}

async function mark(what) {
  const note = $("note").value.trim()
  $("note").value = "" // at once: what is typed from now on belongs to the next
  await ask({ do: "mark", what, note }, `Marked: ${what}`)
}
for (const b of document.querySelectorAll("[data-mark]")) b.addEventListener("click", () => mark(b.dataset.mark))
$("note").addEventListener("keydown", (e) => e.key === "Enter" && mark("wrong"))

const drive = new Drive({ send: (move) => link.tell(move), stop, take, mark, pad: (name) => p.set($("pad"), name && `Gamepad: ${name}`) })
$("speed").addEventListener("input", () => (drive.speed = Number($("speed").value) / 100))

// ---- what the robot says ----

function showHolder() {
  const driving = mine()
  document.body.dataset.holder = driving ? "me" : state.holder ? "other" : "nobody"
  drive.setDriving(driving && !state.leader) // else a leader arm is in someone's hand
  $("drive").hidden = !driving || state.leader === true
  p.set($("take"), driving ? "Give back" : "Take over")
  p.set($("holder"), driving && state.leader ? "Move the leader arm" : !driving && state.holder ? `Operator ${state.holder} drives` : "")
}

function show() {
  p.showMode(state, mine())
  p.showTrouble(state)
  p.showRecording(state.recording)
  p.showPolicy(state)
  p.showNumbers(state)
  p.showAxes(state.axes)
  showHolder()
  p.set($("stop").firstElementChild, state.stopped ? "Stopped" : "Stop")
  $("new").hidden = !state.task
  $("sentence").placeholder = state.sentence ? `Now: ${state.sentence}` : "Say what to do"
}

function lost(how, why) {
  document.body.dataset.link = how
  $("lost").hidden = how === "up"
  const [title, text] = {
    down: ["No connection to the robot", "Nobody moves it by hand now: it holds. This page tries again every second. To stop it, use the switch at the robot."],
    silent: ["The robot says nothing", "The connection is there, but no news came for a second. To stop it, use the switch at the robot."],
    key: ["This robot wants a key", why],
  }[how] ?? ["", ""]
  p.set($("lost-title"), title)
  p.set($("lost-text"), text)
  p.set($("stop-hint"), how === "down" || how === "key" ? "not reachable" : "Space")
  if (how !== "up") {
    p.set($("mode-name"), "Not known")
    p.set($("mode-why"), "What is shown is old")
  }
  if (how === "key" && !$("ask-key").open) $("ask-key").showModal()
  if (how === "down") {
    state = { ...state, holder: 0 }
    takenAt = -Infinity
    showHolder()
  }
}

$("ask-key").addEventListener("cancel", (e) => e.preventDefault())
$("key-form").addEventListener("submit", (e) => {
  e.preventDefault()
  link.useKey($("key").value)
  $("key").value = ""
  $("ask-key").close()
})

const link = new Link({
  hello: () => p.clearLines(),
  state: (s) => {
    const other = s.sentence !== state.sentence
    state = s
    if (other && s.sentence) remember(s.sentence)
    eyes.state(s)
    p.showFailure(s)
    show()
  },
  log: p.addLines,
  picture: (i, bytes) => eyes.picture(i, bytes),
  refused: (error) => toast(error, true),
  link: lost,
})
showHistory()
