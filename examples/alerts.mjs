// Prints every alert as it changes, from the API's event stream: node alerts.mjs http://127.0.0.1:8000 [TOKEN]
const [base = "http://127.0.0.1:8000", token] = process.argv.slice(2);
let last = null; // id of the newest event: where to go on after a break

for (;;) {
  try {
    const headers = { Accept: "text/event-stream" };
    if (token) headers.Authorization = `Bearer ${token}`;
    if (last) headers["Last-Event-ID"] = last;
    const answer = await fetch(`${base}/events?topics=alert`, { headers });
    if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
    let buffer = "";
    for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) {
      buffer += chunk;
      let end;
      while ((end = buffer.indexOf("\n\n")) >= 0) {
        const lines = buffer.slice(0, end).split("\n");
        buffer = buffer.slice(end + 2);
        const field = (name) => lines.filter((l) => l.startsWith(`${name}: `)).map((l) => l.slice(name.length + 2)).join("\n");
        last = field("id") || last;
        if (!field("data") || !field("data").includes('"alert_id"')) continue;
        const alert = JSON.parse(field("data"));
        console.log(alert.updated_at, alert.severity, alert.state, alert.summary);
      }
    }
  } catch (error) {
    console.error(`${error.message}; again in a second`);
  }
  await new Promise((resolve) => setTimeout(resolve, 1000));
}
