"""The tables and statements of a backplane on PostgreSQL.

History and large messages stand in unlogged tables: they cost no write of the log, and after a crash of the server they
are empty, which is a new epoch. Leases are logged.

Names are bytes in all tables: a topic can have characters that the database's encoding lacks.
"""

from __future__ import annotations

__all__ = [
    "ACQUIRE", "BIRTH", "COLUMNS", "EXPIRE", "HOLDERS", "IDENTITY", "KEPT_NOW", "LARGE", "NOTIFY", "POSITIONS",
    "PUBLISH_KEPT", "PUBLISH_LARGE", "RELEASE", "RENEW", "SCHEMA", "SINCE", "TABLES", "TOPIC",
]  # fmt: skip

COLUMNS: dict[str, tuple[str, ...]] = {
    "wsframe_topics": ("service", "topic", "epoch", "last", "age", "used"),
    "wsframe_messages": ("service", "topic", "number", "at", "size", "body"),
    "wsframe_large": ("id", "at", "body"),
    "wsframe_leases": ("service", "key", "node", "token", "until"),
    "wsframe_births": ("service", "identity", "at"),
}
TABLES = f"""\
SELECT count(DISTINCT attrelid), count(*) FROM pg_attribute
JOIN (VALUES {", ".join(f"('{table}', '{column}')" for table in COLUMNS for column in COLUMNS[table])})
    AS ours (name, attribute) ON attrelid = to_regclass(name) AND attname = attribute
WHERE NOT attisdropped
"""
"""Returns how many of our tables and columns are there."""
SCHEMA = """\
BEGIN;
SELECT pg_advisory_xact_lock(8315163);
CREATE TABLE IF NOT EXISTS wsframe_births (
    service bytea PRIMARY KEY, identity text NOT NULL, at timestamptz NOT NULL
);
DELETE FROM wsframe_births WHERE to_regclass('wsframe_leases') IS NULL;
CREATE UNLOGGED TABLE IF NOT EXISTS wsframe_topics (
    service bytea, topic bytea, epoch bigint NOT NULL, last bigint NOT NULL, age float8 NOT NULL,
    used timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (service, topic)
);
CREATE UNLOGGED TABLE IF NOT EXISTS wsframe_messages (
    service bytea, topic bytea, number bigint, at timestamptz NOT NULL, size bigint NOT NULL, body bytea NOT NULL,
    PRIMARY KEY (service, topic, number)
);
CREATE UNLOGGED TABLE IF NOT EXISTS wsframe_large (
    id bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp(), body bytea NOT NULL
);
CREATE TABLE IF NOT EXISTS wsframe_leases (
    service bytea, key bytea, node text NOT NULL, token bigint NOT NULL, until timestamptz NOT NULL,
    PRIMARY KEY (service, key)
);
COMMIT
"""
"""Makes the tables that are missing. Where the leases are, somebody has dropped them: those of before still run."""

IDENTITY = "SELECT c.system_identifier || ':' || p.timeline_id FROM pg_control_system() c, pg_control_checkpoint() p"
"""Another one is a copy of the data, or a replica that was promoted: it may lack the newest leases."""

NOTIFY = """\
SELECT pg_notify(item->>0, item->>1)
FROM json_array_elements($1::json) WITH ORDINALITY AS items (item, number) ORDER BY number
"""
"""Publishes pairs of channel and payload, in order."""

PUBLISH_LARGE = """\
WITH large AS (INSERT INTO wsframe_large (body) VALUES ($1::bytea) RETURNING id)
SELECT pg_notify($2, $3 || id || $4) FROM large
"""
"""Publishes a message that a notification cannot carry."""

EXPIRE = """\
DELETE FROM wsframe_large WHERE at < clock_timestamp() - interval '1 minute';
WITH gone AS (
    DELETE FROM wsframe_topics WHERE (service, topic) IN (
        SELECT service, topic FROM wsframe_topics
        WHERE used < clock_timestamp() - greatest(age, 86400) * interval '1 second' FOR UPDATE SKIP LOCKED
    ) RETURNING service, topic
)
DELETE FROM wsframe_messages m USING gone WHERE gone.service = m.service AND gone.topic = m.topic;
DELETE FROM wsframe_messages m USING wsframe_topics t
WHERE t.service = m.service AND t.topic = m.topic AND m.at < clock_timestamp() - t.age * interval '1 second'
"""
"""Topics go first, as publishers lock a topic before its messages."""
LARGE = "SELECT body FROM wsframe_large WHERE id = $1::bigint"

PUBLISH_KEPT = """\
WITH topic AS (
    INSERT INTO wsframe_topics AS t VALUES ($1::bytea, $2::bytea, $3::bigint, 1, $4::float8)
    ON CONFLICT (service, topic) DO UPDATE SET last = t.last + 1, age = excluded.age, used = clock_timestamp()
    RETURNING epoch, last
), message AS (
    INSERT INTO wsframe_messages SELECT $1::bytea, $2::bytea, last, clock_timestamp(), $5::bigint, $6::bytea FROM topic
), dropped AS (
    DELETE FROM wsframe_messages m USING (
        SELECT number, row_number() OVER later AS count, sum(size) OVER later AS bytes FROM wsframe_messages
        WHERE service = $1::bytea AND topic = $2::bytea WINDOW later AS (ORDER BY number DESC)
    ) AS old
    WHERE m.service = $1::bytea AND m.topic = $2::bytea AND m.number = old.number
        AND (old.count >= $7::bigint OR old.bytes + $5::bigint > $8::bigint)
), large AS (
    INSERT INTO wsframe_large (body) SELECT $6::bytea WHERE $9::text <> '' RETURNING id
)
SELECT pg_notify(
    $10,
    coalesce((SELECT $9::text || id || ':' FROM large), '')
    || $11::text || lpad(to_hex(epoch), 16, '0') || lpad(to_hex(last), 16, '0') || $12::text
) FROM topic
"""
"""Gives a message its number, keeps it, drops the oldest, and publishes it. The row of the topic is locked until then,
so that numbers and notifications have one order."""

POSITIONS = """\
SELECT encode(topic, 'hex'), epoch, last FROM wsframe_topics
WHERE service = $1::bytea
    AND topic IN (SELECT decode(name, 'hex') FROM json_array_elements_text($2::json) AS names (name))
"""
TOPIC = """\
INSERT INTO wsframe_topics AS t VALUES ($1::bytea, $2::bytea, $3::bigint, 0, 0)
ON CONFLICT (service, topic) DO UPDATE SET used = clock_timestamp()
"""
"""Makes a topic, or notes that it is used."""
KEPT_NOW = """\
SELECT t.epoch, t.last, m.number, m.body, t.used < clock_timestamp() - interval '1 hour' FROM wsframe_topics t
LEFT JOIN wsframe_messages m ON m.service = t.service AND m.topic = t.topic
    AND m.at > clock_timestamp() - t.age * interval '1 second'
WHERE t.service = $1::bytea AND t.topic = $2::bytea ORDER BY m.number
"""
SINCE = """\
SELECT t.last, m.number, m.body FROM wsframe_topics t
LEFT JOIN wsframe_messages m ON m.service = t.service AND m.topic = t.topic AND m.number > $4::bigint
    AND m.at > clock_timestamp() - t.age * interval '1 second'
WHERE t.service = $1::bytea AND t.topic = $2::bytea AND t.epoch = $3::bigint
    AND t.last - $4::bigint BETWEEN 0 AND $5::bigint ORDER BY m.number
"""

BIRTH = """\
WITH changed AS (
    INSERT INTO wsframe_births AS b VALUES ($1::bytea, $2, clock_timestamp())
    ON CONFLICT (service) DO UPDATE
    SET identity = coalesce(nullif(excluded.identity, ''), b.identity), at = excluded.at
    WHERE (b.identity <> excluded.identity AND excluded.identity <> '') OR b.at > clock_timestamp() RETURNING 1
)
SELECT NOT EXISTS (SELECT FROM changed) AND EXISTS (
    SELECT FROM wsframe_births
    WHERE service = $1::bytea AND at + $3::float8 * interval '1 second' <= clock_timestamp()
)
"""
"""Says whether every lease of a server that has lost its memory has surely ended. A birth in the future shows that the
clock was put back."""

ACQUIRE = """\
INSERT INTO wsframe_leases AS l
SELECT $1::bytea, decode(key, 'hex'), $2::text, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
    clock_timestamp() + $3::float8 * interval '1 second'
FROM json_array_elements_text($4::json) AS keys (key) ORDER BY key
ON CONFLICT (service, key) DO UPDATE
SET node = excluded.node, token = greatest(l.token + 1, excluded.token), until = excluded.until
WHERE l.until <= clock_timestamp() OR l.node = excluded.node
RETURNING encode(key, 'hex'), token
"""
"""Grants leases. A holder that asks again has missed the answer, and gets another lease."""
HOLDERS = """\
SELECT encode(key, 'hex'), node FROM wsframe_leases
WHERE service = $1::bytea AND key IN (SELECT decode(key, 'hex') FROM json_array_elements_text($2::json) AS keys (key))
"""
RENEW = """\
UPDATE wsframe_leases l SET until = clock_timestamp() + $2::float8 * interval '1 second'
FROM json_array_elements($3::json) AS asked (pair)
WHERE service = $1::bytea AND l.key = decode(pair->>0, 'hex') AND token = (pair->>1)::bigint
    AND until > clock_timestamp()
RETURNING encode(l.key, 'hex')
"""
RELEASE = """\
UPDATE wsframe_leases l SET until = '-infinity' FROM json_array_elements($2::json) AS asked (pair)
WHERE service = $1::bytea AND l.key = decode(pair->>0, 'hex') AND token = (pair->>1)::bigint
"""
"""The row stays: its token has to grow."""
