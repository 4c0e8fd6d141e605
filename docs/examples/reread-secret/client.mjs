// Calls a service with the token of a mounted Secret, which it reads anew for each request.
import { readFile } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";

// What the file holds now. The kubelet replaces the file when the Secret changes.
const authorization = async () => (await readFile(process.env.AUTHORIZATION_FILE, "utf8")).trim();

for (;;) {
  try {
    const response = await fetch(process.env.SERVICE_URL, { headers: { Authorization: await authorization() } });
    console.log(response.status);
  } catch (problem) {
    console.error(problem.message);
  }
  await setTimeout(200);
}
