BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('5');
CREATE TABLE chunks (
	job VARCHAR(32) NOT NULL, 
	number INTEGER NOT NULL, 
	state VARCHAR(8) NOT NULL, 
	count INTEGER NOT NULL, 
	attempts INTEGER NOT NULL, 
	rows BLOB, 
	outputs BLOB, 
	reason TEXT, worker VARCHAR(64), 
	PRIMARY KEY (job, number), 
	FOREIGN KEY(job) REFERENCES jobs (id) ON DELETE CASCADE
);
INSERT INTO "chunks" VALUES('00000000000000a1',0,'pending',2,0,X'01010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101',NULL,NULL,NULL);
INSERT INTO "chunks" VALUES('00000000000000a1',1,'pending',2,0,X'02020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202',NULL,NULL,NULL);
INSERT INTO "chunks" VALUES('00000000000000a2',0,'pending',2,0,X'01010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101',NULL,NULL,NULL);
INSERT INTO "chunks" VALUES('00000000000000a2',1,'pending',2,0,X'02020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202',NULL,NULL,NULL);
INSERT INTO "chunks" VALUES('00000000000000a3',0,'done',2,0,NULL,X'0700003F0700003F',NULL,NULL);
INSERT INTO "chunks" VALUES('00000000000000a3',1,'pending',2,0,X'02020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202',NULL,NULL,NULL);
INSERT INTO "chunks" VALUES('00000000000000a3',2,'pending',2,0,X'03030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303',NULL,NULL,NULL);
INSERT INTO "chunks" VALUES('00000000000000a4',0,'done',2,0,NULL,X'0700003F0700003F',NULL,NULL);
INSERT INTO "chunks" VALUES('00000000000000a4',1,'done',2,0,NULL,X'0701003F0701003F',NULL,NULL);
INSERT INTO "chunks" VALUES('00000000000000a4',2,'done',2,0,NULL,X'0702003F0702003F',NULL,NULL);
INSERT INTO "chunks" VALUES('00000000000000a5',0,'done',2,0,NULL,X'0700003F0700003F',NULL,NULL);
INSERT INTO "chunks" VALUES('00000000000000a5',1,'failed',2,0,NULL,NULL,'the rows don''t fit',NULL);
CREATE TABLE jobs (
	id VARCHAR(32) NOT NULL, 
	state VARCHAR(12) NOT NULL, 
	version VARCHAR(80) NOT NULL, 
	answer JSON NOT NULL, 
	idempotency_key VARCHAR(255), 
	body_hash VARCHAR(64), 
	body_bytes INTEGER NOT NULL, 
	rows INTEGER NOT NULL, 
	rows_done INTEGER NOT NULL, 
	rows_failed INTEGER NOT NULL, 
	chunks INTEGER NOT NULL, 
	chunks_done INTEGER NOT NULL, 
	chunks_failed INTEGER NOT NULL, 
	warnings JSON NOT NULL, 
	ignored JSON NOT NULL, 
	created FLOAT NOT NULL, 
	touched FLOAT NOT NULL, 
	started FLOAT, 
	finished FLOAT, bytes BIGINT DEFAULT 0 NOT NULL, owner VARCHAR(80), request_id VARCHAR(64), 
	PRIMARY KEY (id), 
	UNIQUE (idempotency_key)
);
INSERT INTO "jobs" VALUES('00000000000000a1','receiving','diabetes-1','{"model": "diabetes", "kind": "binary", "classes": ["no", "yes"], "threshold": 0.5}',NULL,NULL,0,0,0,0,0,0,0,'[]','[]',1780000001.0,1780000003.0,NULL,NULL,1152,NULL,NULL);
INSERT INTO "jobs" VALUES('00000000000000a2','queued','diabetes-1','{"model": "diabetes", "kind": "binary", "classes": ["no", "yes"], "threshold": 0.5}','queued','abababababababababababababababababababababababababababababababab',99,4,0,0,2,0,0,'[]','[]',1780000007.0,1780000006.0,NULL,NULL,1152,NULL,NULL);
INSERT INTO "jobs" VALUES('00000000000000a3','running','diabetes-1','{"model": "diabetes", "kind": "binary", "classes": ["no", "yes"], "threshold": 0.5}','running','abababababababababababababababababababababababababababababababab',99,6,2,0,3,1,0,'[]','[]',1780000012.0,1780000014.0,1780000013.0,NULL,1160,NULL,NULL);
INSERT INTO "jobs" VALUES('00000000000000a4','done','diabetes-1','{"model": "diabetes", "kind": "binary", "classes": ["no", "yes"], "threshold": 0.5}','done','abababababababababababababababababababababababababababababababab',99,6,6,0,3,3,0,'[{"code": "implausible", "field": "bmi", "count": 1, "first_line": 2, "detail": "1 values of bmi are outside 15 to 60"}]','[]',1780000019.0,1780000023.0,1780000020.0,1780000023.0,1048,NULL,NULL);
INSERT INTO "jobs" VALUES('00000000000000a5','failed','diabetes-1','{"model": "diabetes", "kind": "binary", "classes": ["no", "yes"], "threshold": 0.5}',NULL,'abababababababababababababababababababababababababababababababab',99,4,2,2,2,1,1,'[]','[]',1780000027.0,1780000030.0,1780000028.0,1780000030.0,1032,NULL,NULL);
INSERT INTO "jobs" VALUES('00000000000000a6','cancelled','diabetes-1','{"model": "diabetes", "kind": "binary", "classes": ["no", "yes"], "threshold": 0.5}','cancelled','abababababababababababababababababababababababababababababababab',99,4,0,0,2,0,0,'[]','[]',1780000034.0,1780000033.0,NULL,1780000035.0,1024,NULL,NULL);
CREATE TABLE pruned (
	reason VARCHAR(12) NOT NULL, 
	jobs BIGINT NOT NULL, 
	bytes BIGINT NOT NULL, 
	PRIMARY KEY (reason)
);
CREATE TABLE stackserve_schema (
	version INTEGER NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "stackserve_schema" VALUES(5);
CREATE INDEX jobs_by_age ON jobs (created, id);
CREATE INDEX jobs_by_state ON jobs (state, created);
CREATE INDEX chunks_by_state ON chunks (job, state, number);
CREATE INDEX jobs_by_end ON jobs (state, finished, bytes);
CREATE INDEX jobs_by_owner ON jobs (owner, created, id);
COMMIT;
