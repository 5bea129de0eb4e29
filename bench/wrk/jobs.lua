-- Workers: pop jobs and complete them. With BENCH_PUSH, push a job before each pop. The queue of payer n is `q<n>`.
local tokens, pushes, pops, popped = {}, {}, {}, {}
local with_push, pushed = os.getenv("BENCH_PUSH") ~= nil, false

function init(args)
  math.randomseed(os.time() + tonumber(tostring({}):sub(8)) % 100000)
  for token in io.lines(os.getenv("BENCH_TOKENS")) do
    local headers = {["Authorization"] = "Bearer " .. token, ["Content-Type"] = "application/json"}
    local queue = "/v1/queues/q" .. #tokens
    tokens[#tokens + 1] = token
    pushes[#pushes + 1] = wrk.format("POST", queue .. "/jobs", headers, '{"payload":{"order":1}}')
    pops[#pops + 1] = wrk.format("POST", queue .. "/pop", headers, '{}')
  end
end

function request()
  local job = table.remove(popped)
  if job then return job end
  local payer = math.random(#tokens)
  pushed = with_push and not pushed
  return pushed and pushes[payer] or pops[payer]
end

function response(status, headers, body)
  local id, queue = body:match('"id":"([^"]+)","queue":"q(%d+)"')
  local lease = body:match('"lease":"([^"]+)"')
  -- A completed job has no lease.
  if lease then
    popped[#popped + 1] = wrk.format("POST", "/v1/jobs/" .. id .. "/complete",
      {["Authorization"] = "Bearer " .. tokens[queue + 1], ["Content-Type"] = "application/json"}, '{"lease":"' .. lease .. '"}')
  end
end
