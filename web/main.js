const $ = (id) => document.getElementById(id)
const ws = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`)
let id = 0
const send = (what) => ws.send(JSON.stringify({ id: ++id, ...what }))
ws.onmessage = (e) => {
  const m = JSON.parse(e.data)
  if (m.state) $("state").textContent = JSON.stringify(m.state, null, 1)
  if (m.log) $("log").textContent += m.log.join("\n") + "\n"
}
$("stop").onclick = () => send({ do: "stop" })
$("say").onsubmit = (e) => {
  e.preventDefault()
  send({ do: "say", text: $("sentence").value })
}
