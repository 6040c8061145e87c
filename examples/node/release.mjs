// Renames a toolset and releases it in one transaction, and waits for the outcome.
//
// DATABASE_URL=postgresql://… node release.mjs ORGANIZATION/PROJECT/TOOLSET NAME KEY
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";

const RENAME = `
  UPDATE toolsets SET name = $2
  FROM projects JOIN organizations ON organizations.id = projects.organization_id
  WHERE projects.id = toolsets.project_id
        AND concat_ws('/', organizations.slug, projects.slug, toolsets.slug) = $1`;
const OUTCOME = "SELECT status, result, error FROM release_requests WHERE id = $1";
const REFUSALS = { RW001: "not a valid request", RW002: "no such toolset", RW003: "the key is taken" };

/** Renames and asks, or neither; answers with the request's id. */
async function rename(client, toolset, name, key) {
  await client.query("BEGIN");
  try {
    await client.query(RENAME, [toolset, name]);
    const asked = await client.query("SELECT release_worker_request('create_release', $1, 'node', $2, $3) AS id", [
      toolset,
      { notes: `now ${name}` },
      key,
    ]);
    await client.query("COMMIT");
    return asked.rows[0].id;
  } catch (error) {
    await client.query("ROLLBACK");
    throw error;
  }
}

/** Waits until the request has ended; answers with its result. */
async function outcome(client, request) {
  for (;;) {
    const { status, result, error } = (await client.query(OUTCOME, [request])).rows[0];
    if (status === "succeeded") return result;
    if (status === "failed") throw Object.assign(new Error(error.message), { code: error.type });
    await sleep(200);
  }
}

const [toolset, name, key] = process.argv.slice(2);
const client = new pg.Client({ connectionString: process.env.DATABASE_URL });
await client.connect();
try {
  const result = await outcome(client, await rename(client, toolset, name, key));
  console.log(`release ${result.release_number}`);
} catch (error) {
  console.error(`${REFUSALS[error.code] ?? error.code ?? "failed"}: ${error.message}`);
  process.exitCode = 1;
} finally {
  await client.end();
}
