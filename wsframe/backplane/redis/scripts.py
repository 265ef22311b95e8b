"""The scripts that run in Redis: each is one step there, whatever other nodes do.

Scripts get the ``run_id`` of the server as the connection knows it; each start makes a new one. If it differs from the
one that is stored with the data, the server has started since, and can have lost the newest part of its memory.
Histories then get a new epoch, and no lease is granted before all earlier ones have surely ended.
"""

from __future__ import annotations

__all__ = ["ACQUIRE", "KEPT_NOW", "POSITIONS", "PUBLISH_KEPT", "RELEASE", "RENEW", "SCRIPTS", "SINCE"]

PUBLISH_KEPT = """\
local state = redis.call('HMGET', KEYS[1], 'epoch', 'offset', 'bytes', 'run')
local epoch, offset, bytes = state[1], tonumber(state[2]) or 0, tonumber(state[3]) or 0
local channel, run, body = ARGV[1], ARGV[3], ARGV[5]
local most, milliseconds, most_bytes = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
if not epoch or state[4] ~= run then
    epoch, offset = ARGV[4], 0
    redis.call('DEL', KEYS[2])
end
offset = offset + 1
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local size = #body - tonumber(ARGV[9])
local count = redis.call('RPUSH', KEYS[2], string.format('%016x%08x', now, size) .. body)
bytes = count == 1 and size or bytes + size
while count > most or bytes > most_bytes do
    local oldest = redis.call('LPOP', KEYS[2])
    if not oldest then break end
    count = count - 1
    bytes = bytes - tonumber(string.sub(oldest, 17, 24), 16)
end
redis.call('HSET', KEYS[1], 'epoch', epoch, 'offset', offset, 'bytes', bytes, 'run', run, 'age', milliseconds)
redis.call('PEXPIRE', KEYS[2], milliseconds)
redis.call('PEXPIRE', KEYS[1], math.max(milliseconds, 86400000))
redis.call('PUBLISH', channel, ARGV[2] .. epoch .. string.format('%016x', offset) .. body)
return offset
"""
"""Gives a message its offset, keeps it, and publishes it. Keys: state, list. Arguments: channel, head, run_id,
an epoch in case there is none, body, most messages, their age, most bytes, bytes of the body that do not count."""

POSITIONS = """\
local found = {}
for number, key in ipairs(KEYS) do
    local state = redis.call('HMGET', key, 'epoch', 'offset', 'run')
    if state[1] and state[3] == ARGV[1] then
        found[number] = state[1] .. state[2]
    else
        found[number] = ''
    end
end
return found
"""
"""Returns epoch and offset of each topic. Keys: states. Argument: run_id."""

KEPT_NOW = """\
local state = redis.call('HMGET', KEYS[1], 'epoch', 'offset', 'run', 'age')
if not state[1] or state[3] ~= ARGV[1] then
    redis.call('DEL', KEYS[2])
    redis.call('HSET', KEYS[1], 'epoch', ARGV[2], 'offset', 0, 'bytes', 0, 'run', ARGV[1], 'age', 0)
    redis.call('PEXPIRE', KEYS[1], 86400000)
    return {ARGV[2] .. '0'}
end
redis.call('PEXPIRE', KEYS[1], math.max(tonumber(state[4]), 86400000))
local answer = {state[1] .. state[2]}
if ARGV[3] == '0' then return answer end
local time = redis.call('TIME')
local oldest = time[1] * 1000 + math.floor(time[2] / 1000) - tonumber(state[4])
local kept = redis.call('LRANGE', KEYS[2], 0, -1)
local first = #kept + 1
while first > 1 and tonumber(string.sub(kept[first - 1], 1, 16), 16) > oldest do first = first - 1 end
for number = first, #kept do answer[#answer + 1] = string.sub(kept[number], 25) end
return answer
"""
"""Returns the position of a topic, which it gets now if it has none, and all bodies, which end there; where the
server's clock was put back, those after the last one that is too old. A topic that is asked for once a day keeps its
epoch. Keys: state, list. Arguments: run_id, an epoch in case there is none, whether the bodies are wanted."""

SINCE = """\
local state = redis.call('HMGET', KEYS[1], 'epoch', 'offset', 'run', 'age')
if not state[1] or state[1] ~= ARGV[2] or state[3] ~= ARGV[1] then return {0} end
local missing = tonumber(state[2]) - tonumber(ARGV[3])
if missing < 0 or missing > tonumber(ARGV[4]) then return {0} end
if missing == 0 then return {1} end
local kept = redis.call('LRANGE', KEYS[2], -missing, -1)
if #kept < missing then return {0} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if tonumber(string.sub(kept[1], 1, 16), 16) <= now - tonumber(state[4]) then return {0} end
local answer = {1}
for number, one in ipairs(kept) do answer[number + 1] = string.sub(one, 25) end
return answer
"""
"""Returns 1 and all bodies after an offset, or 0. Keys: state, list. Arguments: run_id, epoch, offset, limit."""

ACQUIRE = """\
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local born = redis.call('HMGET', KEYS[1], 'run', 'at')
if born[1] ~= ARGV[1] or tonumber(born[2]) > now then
    born[2] = string.format('%.0f', now)
    redis.call('HSET', KEYS[1], 'run', ARGV[1], 'at', born[2])
end
if now < tonumber(born[2]) + ARGV[3] * 1000 then return {} end
local last = tonumber(redis.call('GET', KEYS[2])) or 0
local answer = {}
for number = 3, #KEYS do
    local held = redis.call('GET', KEYS[number])
    local holder = held and string.sub(held, string.find(held, ':', 1, true) + 1)
    if held and holder ~= ARGV[2] then
        answer[number - 2] = '-' .. holder
    else
        last = math.max(last + 1, now)
        local token = string.format('%.0f', last)
        redis.call('SET', KEYS[number], token .. ':' .. ARGV[2], 'PX', ARGV[3])
        answer[number - 2] = '+' .. token
    end
end
redis.call('SET', KEYS[2], string.format('%.0f', last))
return answer
"""
"""Grants leases. A birth in the future shows that the clock was put back. A holder that asks again has missed the
answer, and gets another lease. Keys: birth of the data, last token, leases. Arguments: run_id, node, milliseconds."""

RENEW = """\
if redis.call('HGET', KEYS[1], 'run') ~= ARGV[1] then
    local time = redis.call('TIME')
    redis.call('HSET', KEYS[1], 'run', ARGV[1], 'at', string.format('%.0f', time[1] * 1000000 + time[2]))
end
local answer = {}
for number = 2, #KEYS do
    local held = redis.call('GET', KEYS[number])
    local token = ARGV[number + 1] .. ':'
    answer[number - 1] = 0
    if held and string.sub(held, 1, #token) == token then
        answer[number - 1] = redis.call('PEXPIRE', KEYS[number], ARGV[2])
    end
end
return answer
"""
"""Renews leases. Keys: birth of the data, which begins with the first request for leases of any kind, and leases.
Arguments: run_id, milliseconds, tokens."""

RELEASE = """\
for number, key in ipairs(KEYS) do
    local held = redis.call('GET', key)
    local token = ARGV[number] .. ':'
    if held and string.sub(held, 1, #token) == token then redis.call('DEL', key) end
end
return 0
"""
"""Gives leases back. Keys: leases. Arguments: tokens."""

SCRIPTS = (PUBLISH_KEPT, POSITIONS, KEPT_NOW, SINCE, ACQUIRE, RENEW, RELEASE)
