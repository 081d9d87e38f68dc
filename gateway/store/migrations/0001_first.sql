-- 0001: the store from its first day. Frozen: a change comes as a new numbered file, with a test from an old store.
-- Instants are text in UTC with milliseconds (2026-03-14T12:30:05.000Z), so that text order is time order.
-- Nothing here is deleted or overwritten except the states named below; history stands in rows.

CREATE TABLE store (
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    role         TEXT NOT NULL CHECK (role IN ('production', 'rig')),
    created_at   TEXT NOT NULL
);

-- The last row is the current epoch. While reconciled_at is null nothing is delivered or exported.
CREATE TABLE epoch (
    sequence      INTEGER PRIMARY KEY,
    id            TEXT NOT NULL UNIQUE,
    began_at      TEXT NOT NULL,
    reason        TEXT NOT NULL CHECK (reason IN ('created', 'restored')),
    reconciled_by TEXT,
    reconciled_at TEXT
);

-- Who decided what, for every act of a named person.
CREATE TABLE decision (
    id      INTEGER PRIMARY KEY,
    at      TEXT NOT NULL,
    by_name TEXT NOT NULL,
    act     TEXT NOT NULL,
    subject TEXT NOT NULL,
    note    TEXT NOT NULL DEFAULT ''
);

CREATE TABLE provider (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    npi        TEXT,
    updated_at TEXT NOT NULL
);

-- Where reports to a provider go. address: mllp://host:port
CREATE TABLE destination (
    id          TEXT PRIMARY KEY,
    provider_id TEXT NOT NULL REFERENCES provider (id),
    channel     TEXT NOT NULL CHECK (channel IN ('hl7v2')),
    address     TEXT NOT NULL,
    application TEXT NOT NULL DEFAULT '',
    facility    TEXT NOT NULL DEFAULT '',
    updated_at  TEXT NOT NULL
);

CREATE TABLE patient (
    id          TEXT PRIMARY KEY,
    family_name TEXT NOT NULL,
    given_name  TEXT NOT NULL,
    birth_date  TEXT NOT NULL,
    sex         TEXT NOT NULL CHECK (sex IN ('F', 'M', 'O', 'U')),
    updated_at  TEXT NOT NULL
);

-- The patient's zone of record from 00:00 of from_date in that zone.
CREATE TABLE patient_zone (
    patient_id TEXT NOT NULL REFERENCES patient (id),
    from_date  TEXT NOT NULL,
    zone       TEXT NOT NULL,
    PRIMARY KEY (patient_id, from_date)
);

CREATE TABLE hub (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL CHECK (kind IN ('home', 'rig')),
    updated_at TEXT NOT NULL
);

CREATE TABLE meter (
    key        TEXT PRIMARY KEY,
    vendor     TEXT NOT NULL,
    serial     TEXT NOT NULL,
    model      TEXT NOT NULL DEFAULT '',
    updated_at TEXT NOT NULL
);

-- A meter, or one patient id within it ('' = every test of the meter), belongs to a patient in [from_at, to_at).
CREATE TABLE assignment (
    id               INTEGER PRIMARY KEY,
    meter_key        TEXT NOT NULL REFERENCES meter (key),
    meter_patient_id TEXT NOT NULL DEFAULT '',
    patient_id       TEXT NOT NULL REFERENCES patient (id),
    from_at          TEXT NOT NULL,
    to_at            TEXT,
    UNIQUE (meter_key, meter_patient_id, from_at)
);

-- A provider treats a patient in [from_at, to_at) and knows them by its own identifier.
CREATE TABLE treatment (
    id                  INTEGER PRIMARY KEY,
    patient_id          TEXT NOT NULL REFERENCES patient (id),
    provider_id         TEXT NOT NULL REFERENCES provider (id),
    provider_patient_id TEXT NOT NULL,
    from_at             TEXT NOT NULL,
    to_at               TEXT,
    UNIQUE (patient_id, provider_id, from_at)
);

-- What eligibility rests on; the newest row of a patient holds.
CREATE TABLE enrollment (
    id                  INTEGER PRIMARY KEY,
    patient_id          TEXT NOT NULL REFERENCES patient (id),
    payer               TEXT NOT NULL,
    mac                 TEXT NOT NULL DEFAULT '',
    diagnosis           TEXT NOT NULL,            -- ICD-10-CM codes separated by one blank
    valve_type          TEXT,
    anticoagulant       TEXT NOT NULL DEFAULT 'warfarin',
    warfarin_start      TEXT,
    training_date       TEXT,
    training_documented INTEGER NOT NULL DEFAULT 0 CHECK (training_documented IN (0, 1)),
    order_signed_on     TEXT,
    order_expires_on    TEXT,
    recorded_at         TEXT NOT NULL
);
CREATE INDEX enrollment_patient ON enrollment (patient_id, id);

-- One test, however often it was read. key: identity under a numbered recipe, or journal/number of the first reading
-- where the meter has no running clock (recipe 0). inr and device_time: as the meter gave them, normalised, to look
-- at and to compare. split_from: a named person found that two tests share an identity. merged_into: a named person
-- found that this is another result's test. settled_reading: contradictions among readings up to this one are decided.
CREATE TABLE result (
    id              INTEGER PRIMARY KEY,
    key             TEXT NOT NULL UNIQUE,
    recipe          INTEGER NOT NULL,
    meter_key       TEXT NOT NULL,               -- '' when the meter gave no serial
    kind            TEXT NOT NULL,
    created_at      TEXT NOT NULL,
    inr             TEXT NOT NULL DEFAULT '',
    device_time     TEXT NOT NULL DEFAULT '',
    split_from      INTEGER REFERENCES result (id),
    merged_into     INTEGER REFERENCES result (id),
    settled_reading INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX result_split ON result (split_from) WHERE split_from IS NOT NULL;
CREATE INDEX result_unclocked ON result (meter_key, inr) WHERE recipe = 0;

-- Every octet string that ever came on a reading topic, in the order of arrival. A repeat adds no row. sha256 and size
-- are those of what came; payload is cut where it was too large to be a reading. message: the journal's message it
-- stood in; position: its place there; content: digest of what two copies of one test must agree on; record: digest of
-- the meter's own octets; all null where the payload could not be read. verdict: what the hub was told.
CREATE TABLE reading (
    id          INTEGER PRIMARY KEY,
    journal     TEXT NOT NULL,
    number      INTEGER NOT NULL,
    sha256      TEXT NOT NULL,
    hub         TEXT NOT NULL,
    payload     BLOB NOT NULL,
    received_at TEXT NOT NULL,
    verdict     TEXT NOT NULL CHECK (verdict IN ('stored', 'quarantined')),
    result_id   INTEGER REFERENCES result (id),
    size        INTEGER NOT NULL DEFAULT 0,
    message     INTEGER,
    position    INTEGER,
    content     TEXT,
    record      TEXT,
    UNIQUE (journal, number, sha256)
);
CREATE INDEX reading_result ON reading (result_id, journal, message) WHERE result_id IS NOT NULL;

-- What came on a topic that names no reading; nobody can be told.
CREATE TABLE stray (
    id          INTEGER PRIMARY KEY,
    topic       TEXT NOT NULL,
    sha256      TEXT NOT NULL,
    payload     BLOB NOT NULL,
    size        INTEGER NOT NULL,
    received_at TEXT NOT NULL,
    UNIQUE (topic, sha256)
);

-- Every reading up to and including number is in the store.
CREATE TABLE high_water (
    journal TEXT PRIMARY KEY,
    hub     TEXT NOT NULL,
    number  INTEGER NOT NULL
);

-- What is known of a result, growing by rows; the highest version holds. status: final = reportable; retracted = was
-- reported for this patient and must be taken back. patient_id never changes within a version.
CREATE TABLE version (
    result_id     INTEGER NOT NULL REFERENCES result (id),
    version       INTEGER NOT NULL,
    status        TEXT NOT NULL CHECK (status IN ('final', 'corrected', 'retracted')),
    body          TEXT NOT NULL,                 -- canonical Result, JSON
    origin        TEXT NOT NULL,
    patient_id    TEXT NOT NULL REFERENCES patient (id),
    taken_at      TEXT NOT NULL,
    uncertainty_s REAL NOT NULL,
    quality       TEXT NOT NULL,
    zone          TEXT NOT NULL,
    recorded_at   TEXT NOT NULL,
    why           TEXT NOT NULL,
    reading_id    INTEGER REFERENCES reading (id),  -- whose content body is
    PRIMARY KEY (result_id, version)
);
CREATE INDEX version_patient ON version (patient_id, taken_at);

-- What waits for a person. Open while closed_at is null. About a stray, about a reading of which nothing could be made
-- (result_id is null), or about a result (reading_id: the reading that brought it up).
CREATE TABLE quarantine (
    id         INTEGER PRIMARY KEY,
    stray_id   INTEGER REFERENCES stray (id),
    reading_id INTEGER REFERENCES reading (id),
    result_id  INTEGER REFERENCES result (id),
    reason     TEXT NOT NULL,
    detail     TEXT NOT NULL,
    urgent     INTEGER NOT NULL DEFAULT 0 CHECK (urgent IN (0, 1)),
    opened_at  TEXT NOT NULL,
    closed_at  TEXT,
    closed_by  TEXT,
    action     TEXT CHECK (action IN ('released', 'dismissed'))
);
CREATE INDEX quarantine_open ON quarantine (closed_at, id);
CREATE INDEX quarantine_result ON quarantine (result_id, closed_at);
CREATE INDEX quarantine_reading ON quarantine (reading_id);

-- A report: one version of one result to one destination. Its octets and control id are committed before the first
-- octet leaves and never change; a resend sends these octets.
CREATE TABLE report (
    id              INTEGER PRIMARY KEY,
    result_id       INTEGER NOT NULL,
    version         INTEGER NOT NULL,
    destination_id  TEXT NOT NULL REFERENCES destination (id),
    control_id      TEXT NOT NULL UNIQUE,
    octets          BLOB NOT NULL,
    created_at      TEXT NOT NULL,
    state           TEXT NOT NULL CHECK (state IN ('waiting', 'delivered', 'refused')),
    attempts        INTEGER NOT NULL DEFAULT 0,
    next_attempt_at TEXT NOT NULL,
    last_error      TEXT NOT NULL DEFAULT '',
    UNIQUE (result_id, version, destination_id),
    FOREIGN KEY (result_id, version) REFERENCES version (result_id, version)
);
CREATE INDEX report_waiting ON report (state, destination_id, id);

-- One sending of a report. Committed before the first octet; outcome null = it may or may not have arrived.
CREATE TABLE attempt (
    id         INTEGER PRIMARY KEY,
    report_id  INTEGER NOT NULL REFERENCES report (id),
    started_at TEXT NOT NULL,
    ended_at   TEXT,
    outcome    TEXT CHECK (outcome IN ('delivered', 'refused', 'postponed', 'ambiguous', 'not_sent'))
);
CREATE INDEX attempt_report ON attempt (report_id);

-- What the far end said. Levels: sent < accepted < delivered < seen.
CREATE TABLE evidence (
    id         INTEGER PRIMARY KEY,
    report_id  INTEGER NOT NULL REFERENCES report (id),
    attempt_id INTEGER REFERENCES attempt (id),
    level      TEXT NOT NULL CHECK (level IN ('sent', 'accepted', 'delivered', 'seen')),
    at         TEXT NOT NULL,
    peer       TEXT NOT NULL,
    octets     BLOB NOT NULL
);
CREATE INDEX evidence_report ON evidence (report_id, level);
