-- Acquires the locks of all payers, releases them all, and starts again. Each thread has its own payers.
local acquires, releases = {}, {}
local threads, at, turn = 0, nil, nil

function setup(thread)
  thread:set("id", threads)
  threads = threads + 1
  thread:set("share", tonumber(os.getenv("BENCH_THREADS")))
end

function init(args)
  local number = 0
  for token in io.lines(os.getenv("BENCH_TOKENS")) do
    if number % share == id then
      local headers = {["Authorization"] = "Bearer " .. token, ["Content-Type"] = "application/json"}
      acquires[#acquires + 1] = wrk.format("POST", "/v1/locks/job/acquire", headers, '{"ttlMs":60000,"token":"bench-bench-bench-bench"}')
      releases[#releases + 1] = wrk.format("POST", "/v1/locks/job/release", headers, '{"token":"bench-bench-bench-bench"}')
    end
    number = number + 1
  end
  turn = acquires
end

function request()
  -- wrk asks the first thread for one request that it never sends.
  if not at then
    at = id == 0 and 0 or 1
    return turn[1]
  end
  at = at + 1
  if at > #turn then
    at, turn = 1, turn == acquires and releases or acquires
  end
  return turn[at]
end
