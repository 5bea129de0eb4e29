-- Sends requests in random order, from a file with one request per line: verb, path, token and body, separated by tabs.
-- bench/wrk.rs writes most of the files, bench/memories/mod.rs and bench/sql.rs the others.
local requests = {}

function init(args)
  math.randomseed(os.time() + tonumber(tostring({}):sub(8)) % 100000)
  for line in io.lines(os.getenv("BENCH_REQUESTS")) do
    local verb, path, token, body = line:match("^([^\t]*)\t([^\t]*)\t([^\t]*)\t(.*)$")
    local headers = {["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"}
    if token ~= "" then headers["Authorization"] = "Bearer " .. token end
    if body ~= "" then headers["Content-Type"] = "application/json" end
    requests[#requests + 1] = wrk.format(verb, path, headers, body)
  end
end

function request() return requests[math.random(#requests)] end

function done(summary, latency, requests)
  io.write(string.format("  95%%  %.3fms\n", latency:percentile(95) / 1000))
end
