// ollama-js as its users write it: one call of the library, and what it gives or throws.
//
//     node client.mjs METHOD HOST PARAMETERS
//
// It tells what it sees on standard output, one JSON object a line:
//
//     {"part": {…}}  {"result": {…}}  {"error": "…", "name": "…", "status": 404}
//
// When its standard input ends, it aborts the stream it reads.
import { Ollama } from "ollama";

const [method, host, parameters] = process.argv.slice(2);
const client = new Ollama({ host });

function tell(event) {
  process.stdout.write(JSON.stringify(event) + "\n");
}

async function read(answer) {
  if (!answer[Symbol.asyncIterator]) {
    tell({ result: answer });
    return;
  }
  for await (const part of answer) {
    tell({ part });
  }
}

process.stdin.resume();
process.stdin.on("end", () => client.abort());
try {
  await read(await client[method](JSON.parse(parameters)));
} catch (error) {
  tell({ error: error.message, name: error.name, status: error.status_code });
} finally {
  process.stdin.destroy();
}
