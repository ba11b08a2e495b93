// link.js - the websocket to the robot: it comes back by itself, and says when the robot is silent.
//
// on: {hello(you), state(s), log(lines), picture(camera, bytes), link(how, why)}; how is "up", "silent", "down" or "key".

const SILENT_MS = 1000
const AGAIN_MS = 1000
const LATE_BYTES = 4096 // what waits behind so much would move the robot too late

export class Link {
  constructor(on) {
    this.on = on
    this.how = ""
    this.next = 0
    this.waiting = new Map()
    this.stopWanted = false
    this.key = takeKey()
    this.connect()
    setInterval(() => this.watch(), 200)
  }

  connect() {
    const ws = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`)
    ws.binaryType = "arraybuffer"
    ws.onopen = () => this.key && ws.send(JSON.stringify({ do: "hello", key: this.key }))
    ws.onmessage = (e) => this.heard(e.data)
    ws.onclose = (e) => this.closed(e)
    this.ws = ws
    this.you = 0
    this.heardAt = performance.now()
  }

  heard(data) {
    if (data instanceof ArrayBuffer) {
      const bytes = new Uint8Array(data)
      this.on.picture(bytes[0], bytes.subarray(1))
      return
    }
    const m = JSON.parse(data)
    if (m.hello) this.greeted(m.hello.you)
    if (m.state) this.saw(m.state)
    if (m.log) this.on.log(m.log)
    if (m.re !== undefined && this.waiting.has(m.re)) {
      this.waiting.get(m.re)(m.error)
      this.waiting.delete(m.re)
    } else if (m.error) {
      this.on.refused(m.error)
    }
  }

  greeted(you) {
    this.you = you
    this.on.hello(you)
    this.set("up")
    if (this.stopWanted) this.ask({ do: "stop" })
    this.stopWanted = false
  }

  saw(state) {
    this.heardAt = performance.now()
    this.set("up")
    this.on.state(state)
  }

  closed(e) {
    for (const answer of this.waiting.values()) answer("the connection broke")
    this.waiting.clear()
    this.you = 0
    if (e.code === 4401) {
      this.key = ""
      this.set("key", e.reason)
      return
    }
    this.set("down", e.reason)
    setTimeout(() => this.connect(), AGAIN_MS)
  }

  useKey(key) {
    this.key = key
    sessionStorage.setItem("key", key)
    this.how = ""
    this.connect()
  }

  watch() {
    if (this.how === "up" && performance.now() - this.heardAt > SILENT_MS) this.set("silent")
  }

  set(how, why = "") {
    if (how !== this.how) this.on.link(how, why)
    this.how = how
  }

  get up() {
    return this.you > 0 && this.ws.readyState === WebSocket.OPEN
  }

  // A command; the answer is undefined, or why it was refused.
  ask(command) {
    if (!this.up) {
      this.stopWanted ||= command.do === "stop"
      return Promise.resolve("no connection to the robot")
    }
    const id = ++this.next
    this.ws.send(JSON.stringify({ id, ...command }))
    return new Promise((answer) => this.waiting.set(id, answer))
  }

  // One of many, which is worth nothing when it is late. false: it was not sent.
  tell(command) {
    if (!this.up || this.ws.bufferedAmount > LATE_BYTES) return false
    this.ws.send(JSON.stringify(command))
    return true
  }
}

// The key of "#key=..." does not stay in the address.
function takeKey() {
  const key = new URLSearchParams(location.hash.slice(1)).get("key")
  if (key) {
    sessionStorage.setItem("key", key)
    history.replaceState(null, "", location.pathname)
  }
  return sessionStorage.getItem("key") ?? ""
}
