-- A store of schema 1 with one delivered result. Never made anew: it stands for the stores that are out there.
BEGIN TRANSACTION;
CREATE TABLE assignment (
    id               INTEGER PRIMARY KEY,
    meter_key        TEXT NOT NULL REFERENCES meter (key),
    meter_patient_id TEXT NOT NULL DEFAULT '',
    patient_id       TEXT NOT NULL REFERENCES patient (id),
    from_at          TEXT NOT NULL,
    to_at            TEXT,
    UNIQUE (meter_key, meter_patient_id, from_at)
);
INSERT INTO "assignment" VALUES(1,'acme/sn000123','','pat','2026-01-01T08:00:00.000Z',NULL);
CREATE TABLE attempt (
    id         INTEGER PRIMARY KEY,
    report_id  INTEGER NOT NULL REFERENCES report (id),
    started_at TEXT NOT NULL,
    ended_at   TEXT,
    outcome    TEXT CHECK (outcome IN ('delivered', 'refused', 'postponed', 'ambiguous', 'not_sent'))
);
INSERT INTO "attempt" VALUES(1,1,'2026-03-14T18:00:00.000Z','2026-03-14T18:00:01.000Z','delivered');
CREATE TABLE decision (
    id      INTEGER PRIMARY KEY,
    at      TEXT NOT NULL,
    by_name TEXT NOT NULL,
    act     TEXT NOT NULL,
    subject TEXT NOT NULL,
    note    TEXT NOT NULL DEFAULT ''
);
INSERT INTO "decision" VALUES(1,'2026-03-14T18:00:00.000Z','tester','registry import','registry.toml','providers: 1 new
patients: 2 new
zones: 2 new
hubs: 3 new
meters: 1 new
assignments: 1 new');
CREATE TABLE destination (
    id          TEXT PRIMARY KEY,
    provider_id TEXT NOT NULL REFERENCES provider (id),
    channel     TEXT NOT NULL CHECK (channel IN ('hl7v2')),
    address     TEXT NOT NULL,
    application TEXT NOT NULL DEFAULT '',
    facility    TEXT NOT NULL DEFAULT '',
    updated_at  TEXT NOT NULL
);
INSERT INTO "destination" VALUES('ehr','clinic','hl7v2','mllp://127.0.0.1:2575','','','2026-03-14T18:00:00.000Z');
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
CREATE TABLE epoch (
    sequence      INTEGER PRIMARY KEY,
    id            TEXT NOT NULL UNIQUE,
    began_at      TEXT NOT NULL,
    reason        TEXT NOT NULL CHECK (reason IN ('created', 'restored')),
    reconciled_by TEXT,
    reconciled_at TEXT
);
INSERT INTO "epoch" VALUES(1,'20260314T180000Z-8110d572f7be','2026-03-14T18:00:00.000Z','created','new store','2026-03-14T18:00:00.000Z');
CREATE TABLE evidence (
    id         INTEGER PRIMARY KEY,
    report_id  INTEGER NOT NULL REFERENCES report (id),
    attempt_id INTEGER REFERENCES attempt (id),
    level      TEXT NOT NULL CHECK (level IN ('sent', 'accepted', 'delivered', 'seen')),
    at         TEXT NOT NULL,
    peer       TEXT NOT NULL,
    octets     BLOB NOT NULL
);
INSERT INTO "evidence" VALUES(1,1,1,'sent','2026-03-14T18:00:01.000Z','127.0.0.1:2575',X'00');
INSERT INTO "evidence" VALUES(2,1,1,'delivered','2026-03-14T18:00:01.000Z','127.0.0.1:2575',X'00');
CREATE TABLE high_water (
    journal TEXT PRIMARY KEY,
    hub     TEXT NOT NULL,
    number  INTEGER NOT NULL
);
INSERT INTO "high_water" VALUES('6a1f9a52-3d0c-4d6e-9a53-0c3f6f7b1a01','home-1',1);
CREATE TABLE hub (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL CHECK (kind IN ('home', 'rig')),
    updated_at TEXT NOT NULL
);
INSERT INTO "hub" VALUES('home-1','home','2026-03-14T18:00:00.000Z');
INSERT INTO "hub" VALUES('home-2','home','2026-03-14T18:00:00.000Z');
INSERT INTO "hub" VALUES('rig-1','rig','2026-03-14T18:00:00.000Z');
CREATE TABLE meter (
    key        TEXT PRIMARY KEY,
    vendor     TEXT NOT NULL,
    serial     TEXT NOT NULL,
    model      TEXT NOT NULL DEFAULT '',
    updated_at TEXT NOT NULL
);
INSERT INTO "meter" VALUES('acme/sn000123','ACME','SN000123','','2026-03-14T18:00:00.000Z');
CREATE TABLE patient (
    id          TEXT PRIMARY KEY,
    family_name TEXT NOT NULL,
    given_name  TEXT NOT NULL,
    birth_date  TEXT NOT NULL,
    sex         TEXT NOT NULL CHECK (sex IN ('F', 'M', 'O', 'U')),
    updated_at  TEXT NOT NULL
);
INSERT INTO "patient" VALUES('pat','Secretname','Pat','1950-01-01','F','2026-03-14T18:00:00.000Z');
INSERT INTO "patient" VALUES('sam','Otherman','Sam','1950-01-02','M','2026-03-14T18:00:00.000Z');
CREATE TABLE patient_zone (
    patient_id TEXT NOT NULL REFERENCES patient (id),
    from_date  TEXT NOT NULL,
    zone       TEXT NOT NULL,
    PRIMARY KEY (patient_id, from_date)
);
INSERT INTO "patient_zone" VALUES('pat','2020-01-01','America/Los_Angeles');
INSERT INTO "patient_zone" VALUES('sam','2020-01-01','America/New_York');
CREATE TABLE provider (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    npi        TEXT,
    updated_at TEXT NOT NULL
);
INSERT INTO "provider" VALUES('clinic','Clinic',NULL,'2026-03-14T18:00:00.000Z');
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
INSERT INTO "reading" VALUES(1,'6a1f9a52-3d0c-4d6e-9a53-0c3f6f7b1a01',1,'bcae76705f1b762984773ff1d1d407d23c4525d4cd60ca566f03e1455b8946b3','home-1',X'7B22736368656D61223A22696E722D676174657761792F72656164696E672F31222C226A6F75726E616C223A2236613166396135322D336430632D346436652D396135332D306333663666376231613031222C226E756D626572223A312C22687562223A22686F6D652D31222C226F726967696E223A226D65746572222C22736F667477617265223A22696E722D676174657761792030222C22647269766572223A226173746D222C22706F7274223A226B69746368656E222C226D657373616765223A312C22706F736974696F6E223A302C22726561645F6174223A22323032362D30332D31345431383A30303A30305A222C226875625F636C6F636B223A7B2273796E6368726F6E69736564223A747275652C22626F6F745F6964223A22626F6F74222C226D6F6E6F746F6E69635F73223A312E307D2C226D657465725F636C6F636B223A6E756C6C2C227A6F6E65223A22416D65726963612F4C6F735F416E67656C6573222C226D65746572223A7B2276656E646F72223A2241434D45222C2273657269616C223A22534E303030313233222C226D6F64656C223A22486F6D65494E52222C226669726D77617265223A22312E32227D2C22726573756C74223A7B22736368656D61223A22696E722D676174657761792F726573756C742F31222C226B696E64223A2270617469656E74222C226D65746572223A7B2276656E646F72223A2241434D45222C2273657269616C223A22534E303030313233222C226D6F64656C223A22486F6D65494E52222C226669726D77617265223A22312E32227D2C226465766963655F74696D65223A7B22726177223A22323032362D30332D31345430373A32383A3030222C226C6F63616C223A22323032362D30332D31345430373A32383A3030222C227574635F6F66667365745F6D696E223A6E756C6C7D2C22696E72223A7B2274657874223A22322E35222C2276616C7565223A22322E35222C22636F6D70617261746F72223A6E756C6C2C22756E6974223A22494E52227D2C2270745F7365636F6E6473223A6E756C6C2C22717569636B5F70657263656E74223A6E756C6C2C227265636F72645F6E756D626572223A6E756C6C2C2273747269705F6C6F74223A22353634363336222C22636F6E74726F6C5F6C6F74223A6E756C6C2C22636F6E74726F6C5F6C6576656C223A6E756C6C2C226F70657261746F725F6964223A6E756C6C2C2270617469656E745F6964223A6E756C6C2C226572726F725F636F6465223A6E756C6C2C22666C616773223A5B5D2C226E6F746573223A5B5D7D2C226661756C74223A6E756C6C2C2272657065746974696F6E223A6E756C6C2C22726177223A22556E7778227D','2026-03-14T18:00:00.000Z','stored',1,987,1,0,'36f97951c93d041dd74b0b1b05b64395','6be070fca3e8a2cb605af2f4e12c621b');
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
INSERT INTO "report" VALUES(1,1,1,'ehr','C1',X'00','2026-03-14T18:00:00.000Z','delivered',0,'2026-03-14T18:00:00.000Z','');
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
INSERT INTO "result" VALUES(1,'41059a5267b49538b3d888efe243afc7',1,'acme/sn000123','patient','2026-03-14T18:00:00.000Z','2.5','2026-03-14 07:28:00',NULL,NULL,0);
CREATE TABLE store (
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    role         TEXT NOT NULL CHECK (role IN ('production', 'rig')),
    created_at   TEXT NOT NULL
);
INSERT INTO "store" VALUES(1,'production','2026-03-14T18:00:00.000Z');
CREATE TABLE stray (
    id          INTEGER PRIMARY KEY,
    topic       TEXT NOT NULL,
    sha256      TEXT NOT NULL,
    payload     BLOB NOT NULL,
    size        INTEGER NOT NULL,
    received_at TEXT NOT NULL,
    UNIQUE (topic, sha256)
);
CREATE TABLE treatment (
    id                  INTEGER PRIMARY KEY,
    patient_id          TEXT NOT NULL REFERENCES patient (id),
    provider_id         TEXT NOT NULL REFERENCES provider (id),
    provider_patient_id TEXT NOT NULL,
    from_at             TEXT NOT NULL,
    to_at               TEXT,
    UNIQUE (patient_id, provider_id, from_at)
);
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
INSERT INTO "version" VALUES(1,1,'final','{"schema":"inr-gateway/result/1","kind":"patient","meter":{"vendor":"ACME","serial":"SN000123","model":"HomeINR","firmware":"1.2"},"device_time":{"raw":"2026-03-14T07:28:00","local":"2026-03-14T07:28:00","utc_offset_min":null},"inr":{"text":"2.5","value":"2.5","comparator":null,"unit":"INR"},"pt_seconds":null,"quick_percent":null,"record_number":null,"strip_lot":"564636","control_lot":null,"control_level":null,"operator_id":null,"patient_id":null,"error_code":null,"flags":[],"notes":[]}','meter','pat','2026-03-14T14:28:00.000Z',900.0,'assumed_zone','America/Los_Angeles','2026-03-14T18:00:00.000Z','first reading',1);
CREATE INDEX enrollment_patient ON enrollment (patient_id, id);
CREATE INDEX result_split ON result (split_from) WHERE split_from IS NOT NULL;
CREATE INDEX result_unclocked ON result (meter_key, inr) WHERE recipe = 0;
CREATE INDEX reading_result ON reading (result_id, journal, message) WHERE result_id IS NOT NULL;
CREATE INDEX version_patient ON version (patient_id, taken_at);
CREATE INDEX quarantine_open ON quarantine (closed_at, id);
CREATE INDEX quarantine_result ON quarantine (result_id, closed_at);
CREATE INDEX quarantine_reading ON quarantine (reading_id);
CREATE INDEX report_waiting ON report (state, destination_id, id);
CREATE INDEX attempt_report ON attempt (report_id);
CREATE INDEX evidence_report ON evidence (report_id, level);
COMMIT;
PRAGMA user_version = 1;
