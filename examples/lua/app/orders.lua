-- Copyright The Enarx in Go Authors
-- SPDX-License-Identifier: Apache-2.0
--
-- Reads orders, one a line ("item count"), checks them against a price list,
-- and prints a bill. Wrong lines are errors, raised deep inside and caught.

local prices <const> = { hammer = 1890, nail = 3, bolt = 12 }

local Bill = {}
Bill.__index = Bill

function Bill:add(item, count)
	local price = prices[item] or error({ item = item })
	assert(count > 0, "count is not positive")
	self.lines[#self.lines + 1] = { item = item, count = count, cents = price * count }
end

-- orders yields true and an order, or false and what is wrong, from inside a
-- protected call inside a coroutine, so that yields and errors cross.
local function orders()
	return coroutine.wrap(function()
		for line in io.lines() do
			local ok, problem = pcall(function()
				local item, count = line:match("^(%a+)%s+(-?%d+)$")
				if not item then error("not an order: " .. line, 0) end
				coroutine.yield(true, item, math.tointeger(count))
			end)
			if not ok then coroutine.yield(false, problem) end
		end
	end)
end

local bill, wrong = setmetatable({ lines = {} }, Bill), 0
for ok, item, count in orders() do
	local problem = item
	if ok then ok, problem = pcall(bill.add, bill, item, count) end
	if not ok then
		wrong = wrong + 1
		if type(problem) == "table" then problem = "no such item: " .. problem.item end
		print("skipped: " .. problem:gsub("^.-:%d+: ", ""))
	end
end

table.sort(bill.lines, function(a, b) return a.cents > b.cents end)
local total = 0
for _, l in ipairs(bill.lines) do
	total = total + l.cents
	print(string.format("%-8s %3d %8.2f", l.item, l.count, l.cents / 100))
end
print(string.format("%-8s %3d %8.2f", "total", #bill.lines, total / 100))

-- Errors from within errors, at every depth that Lua allows.
local function deep(n) return n == 0 and error("bottom", 0) or select(2, pcall(deep, n - 1)) end
print("deep: " .. deep(tonumber(arg[1] or 10)))
print("parser: " .. select(2, load(("("):rep(300) .. ")")):match("C stack overflow"))
print("gsub: " .. select(2, pcall(string.gsub, "abc", ".", function(c) error(c, 0) end)))

if wrong > 0 then error(wrong .. " wrong orders") end
