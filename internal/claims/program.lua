-- The claims of a token, checked against the rules of one service. Kong's post-function plugin runs this in its access
-- phase, which is after the jwt plugin has verified the token. The operator puts `local rules = {...}` before it, data
-- that is made of the spec of a JwtProtectedService; the program itself is the same for every service.
--
-- It is for Lua 5.1 and LuaJIT, inside Kong's sandbox: no require, so no cjson, which would also take texts that this
-- program refuses. What it cannot read it refuses. decide.go has the same decision in Go: change both.

local byte, char, sub, find = string.byte, string.char, string.sub, string.find
local lower, gsub, gmatch, concat, floor = string.lower, string.gsub, string.gmatch, table.concat, math.floor

-- Bounds of what is read: bytes of the payload as it is sent, and objects or lists in one another.
local MAX_PAYLOAD = 65536
local MAX_DEPTH = 16
-- Kong lists no more headers of a request.
local MAX_HEADERS = 1000

local UNAUTHORIZED, FORBIDDEN = 401, 403

-- JSON (RFC 8259). A string and a boolean are Lua's own, null is NULL, and the rest are tables with a kind: a number
-- keeps its text, since Lua's numbers are doubles; an object keeps where in the payload it stands.
local NULL = {kind = "null"}

local function fail()
  error("the token cannot be read", 0)
end

local function skip_space(text, pos)
  local b = byte(text, pos)
  while b == 32 or b == 9 or b == 10 or b == 13 do
    pos = pos + 1
    b = byte(text, pos)
  end
  return pos, b
end

local function is_between(b, low, high)
  return b ~= nil and b >= low and b <= high
end

-- The length of a character of several bytes (RFC 3629, section 4): no overlong forms, no surrogates.
local function sequence_length(text, pos, lead)
  local second, third, fourth = byte(text, pos + 1, pos + 3)
  local low, high = 128, 191
  if lead == 224 then
    low = 160
  elseif lead == 237 then
    high = 159
  elseif lead == 240 then
    low = 144
  elseif lead == 244 then
    high = 143
  end
  if not is_between(second, low, high) then
    return fail()
  end
  if is_between(lead, 194, 223) then
    return 2
  end
  if is_between(lead, 224, 239) and is_between(third, 128, 191) then
    return 3
  end
  if is_between(lead, 240, 244) and is_between(third, 128, 191) and is_between(fourth, 128, 191) then
    return 4
  end
  return fail()
end

local function encode(code)
  if code < 128 then
    return char(code)
  elseif code < 2048 then
    return char(192 + floor(code / 64), 128 + code % 64)
  elseif code < 65536 then
    return char(224 + floor(code / 4096), 128 + floor(code / 64) % 64, 128 + code % 64)
  end
  return char(240 + floor(code / 262144), 128 + floor(code / 4096) % 64, 128 + floor(code / 64) % 64, 128 + code % 64)
end

local function parse_hex(text, pos)
  local digits = sub(text, pos, pos + 3)
  if not find(digits, "^%x%x%x%x$") then
    return fail()
  end
  return tonumber(digits, 16)
end

local ESCAPES = {
  [34] = '"', [92] = "\\", [47] = "/", [98] = "\b", [102] = "\f", [110] = "\n", [114] = "\r", [116] = "\t",
}

-- pos is behind the backslash. A surrogate has to have its other half.
local function parse_escape(text, pos)
  local b = byte(text, pos)
  if b ~= 117 then
    return ESCAPES[b] or fail(), pos + 1
  end
  local code = parse_hex(text, pos + 1)
  if code < 55296 or code > 57343 then
    return encode(code), pos + 5
  end
  if code > 56319 or sub(text, pos + 5, pos + 6) ~= "\\u" then
    return fail()
  end
  local second = parse_hex(text, pos + 7)
  if second < 56320 or second > 57343 then
    return fail()
  end
  return encode(65536 + (code - 55296) * 1024 + (second - 56320)), pos + 11
end

-- pos is behind the quote.
local function parse_string(text, pos)
  local from, parts = pos, nil
  while true do
    local b = byte(text, pos)
    if b == 34 then
      local rest = sub(text, from, pos - 1)
      if parts then
        parts[#parts + 1] = rest
        rest = concat(parts)
      end
      return rest, pos + 1
    elseif b == 92 then
      parts = parts or {}
      parts[#parts + 1] = sub(text, from, pos - 1)
      parts[#parts + 1], pos = parse_escape(text, pos + 1)
      from = pos
    elseif is_between(b, 32, 127) then
      pos = pos + 1
    elseif is_between(b, 194, 244) then
      pos = pos + sequence_length(text, pos, b)
    else
      return fail()
    end
  end
end

local function skip_digits(text, pos)
  local from = pos
  while is_between(byte(text, pos), 48, 57) do
    pos = pos + 1
  end
  if pos == from then
    return fail()
  end
  return pos
end

local function parse_number(text, pos)
  local from = pos
  if byte(text, pos) == 45 then
    pos = pos + 1
  end
  if byte(text, pos) == 48 then
    pos = pos + 1
  else
    pos = skip_digits(text, pos)
  end
  local whole = true
  if byte(text, pos) == 46 then
    pos = skip_digits(text, pos + 1)
    whole = false
  end
  local b = byte(text, pos)
  if b == 101 or b == 69 then
    b = byte(text, pos + 1)
    pos = skip_digits(text, pos + ((b == 43 or b == 45) and 2 or 1))
    whole = false
  end
  return {kind = "number", text = sub(text, from, pos - 1), whole = whole}, pos
end

local parse_value

-- pos is behind the bracket.
local function parse_list(text, pos, depth)
  local items, count, b = {}, 0, nil
  pos, b = skip_space(text, pos)
  if b == 93 then
    return {kind = "list", items = items, count = 0}, pos + 1
  end
  while true do
    count = count + 1
    items[count], pos = parse_value(text, pos, depth)
    pos, b = skip_space(text, pos)
    if b == 93 then
      return {kind = "list", items = items, count = count}, pos + 1
    elseif b ~= 44 then
      return fail()
    end
    pos = pos + 1
  end
end

-- pos is behind the brace. A name that comes twice is refused: others may take the other of the two values.
local function parse_object(text, pos, depth)
  local fields, from, b, name = {}, pos - 1, nil, nil
  pos, b = skip_space(text, pos)
  if b == 125 then
    return {kind = "object", fields = fields, from = from, to = pos}, pos + 1
  end
  while true do
    pos, b = skip_space(text, pos)
    if b ~= 34 then
      return fail()
    end
    name, pos = parse_string(text, pos + 1)
    pos, b = skip_space(text, pos)
    if b ~= 58 or fields[name] ~= nil then
      return fail()
    end
    fields[name], pos = parse_value(text, pos + 1, depth)
    pos, b = skip_space(text, pos)
    if b == 125 then
      return {kind = "object", fields = fields, from = from, to = pos}, pos + 1
    elseif b ~= 44 then
      return fail()
    end
    pos = pos + 1
  end
end

local LITERALS = {[116] = "true", [102] = "false", [110] = "null"}
local VALUES = {["true"] = true, ["false"] = false, ["null"] = NULL}

function parse_value(text, pos, depth)
  local b
  pos, b = skip_space(text, pos)
  if b == 34 then
    return parse_string(text, pos + 1)
  elseif b == 45 or is_between(b, 48, 57) then
    return parse_number(text, pos)
  elseif b == 123 or b == 91 then
    if depth >= MAX_DEPTH then
      return fail()
    end
    return (b == 123 and parse_object or parse_list)(text, pos + 1, depth + 1)
  end
  local word = LITERALS[b]
  if not word or sub(text, pos, pos + #word - 1) ~= word then
    return fail()
  end
  return VALUES[word], pos + #word
end

-- The claims of a token (RFC 7519), and the payload that they are read from.
local function read(token)
  if type(token) ~= "string" then
    return fail()
  end
  local from, to, payload = find(token, "^[^.]*%.([A-Za-z0-9_-]+)%.[^.]*$")
  if not from or #payload > MAX_PAYLOAD then
    return fail()
  end
  payload = gsub(gsub(payload, "-", "+"), "_", "/")
  local text = ngx.decode_base64(payload .. sub("===", 1, -#payload % 4))
  if not text then
    return fail()
  end
  local claims, pos = parse_value(text, 1, 0)
  local b
  pos, b = skip_space(text, pos)
  if b ~= nil or type(claims) ~= "table" or claims.kind ~= "object" then
    return fail()
  end
  return claims, text
end

-- The value at a path, nil where there is none; null is none.
local function value_at(claims, path)
  local value = claims
  for i = 1, #path do
    if type(value) ~= "table" or value.kind ~= "object" then
      return nil
    end
    value = value.fields[path[i]]
  end
  if value == NULL then
    return nil
  end
  return value
end

-- Whether a string, or one of a list of nothing but strings, is one of a set.
local function names_one(value, set)
  if type(value) == "string" then
    return set[value] == true
  end
  if type(value) ~= "table" or value.kind ~= "list" then
    return false
  end
  local found = false
  for i = 1, value.count do
    local item = value.items[i]
    if type(item) ~= "string" then
      return false
    end
    found = found or set[item] == true
  end
  return found
end

-- Whether a string has a word, or a list an element. What has a space in it is no word.
local function has(value, wanted)
  if type(value) == "string" then
    return not find(wanted, " ", 1, true) and find(" " .. value .. " ", " " .. wanted .. " ", 1, true) ~= nil
  end
  if type(value) == "table" and value.kind == "list" then
    for i = 1, value.count do
      if value.items[i] == wanted then
        return true
      end
    end
  end
  return false
end

-- Whole numbers are compared by their digits, which is exact whatever their size.
local function equals(value, wanted)
  if wanted.number then
    if type(value) ~= "table" or value.kind ~= "number" or not value.whole then
      return false
    end
    return (value.text == "-0" and "0" or value.text) == wanted.number
  end
  return value == wanted.value
end

local function meets(value, rule)
  if value == nil then
    return false
  elseif rule.contains then
    return has(value, rule.contains)
  elseif rule.one_of then
    return type(value) == "string" and rule.one_of[value] == true
  elseif rule.equals then
    return equals(value, rule.equals)
  end
  return false
end

-- A text that a header can hold (RFC 9110, section 5.5) and that HTTP does not trim to another: it trims spaces and
-- tabs.
local function is_header_text(text)
  return not find(text, "[%z\1-\31\127]") and not find(text, "^ ") and not find(text, " $")
end

local function scalar_text(value)
  if type(value) == "string" then
    return is_header_text(value) and value or nil
  elseif type(value) == "boolean" then
    return value and "true" or "false"
  elseif type(value) == "table" and value.kind == "number" then
    return value.text
  end
  return nil
end

-- What a header says of a value; nil where it can say nothing.
local function header_text(value, payload)
  if type(value) ~= "table" or value.kind == "number" then
    return scalar_text(value)
  elseif value.kind == "object" then
    local text = ngx.encode_base64(sub(payload, value.from, value.to))
    return (gsub(gsub(gsub(text, "=", ""), "%+", "-"), "/", "_"))
  end
  local texts = {}
  for i = 1, value.count do
    local text = scalar_text(value.items[i])
    if not text or text == "" or find(text, ",", 1, true) then
      return nil -- else one element could pass for two
    end
    texts[i] = text
  end
  return concat(texts, ",")
end

-- Nothing where the token may pass, with the values of the headers in the order of the rules, false for none. Else the
-- status of the answer, and what is wrong.
local function decide(token)
  local claims, payload = read(token)
  local issuer = claims.fields.iss
  if rules.issuers and not (type(issuer) == "string" and rules.issuers[issuer]) then
    return UNAUTHORIZED, "The claim iss names no issuer of this service"
  end
  if rules.audiences and not names_one(claims.fields.aud, rules.audiences) then
    return UNAUTHORIZED, "The claim aud names no audience of this service"
  end
  if rules.skew then
    local issued = claims.fields.iat
    if type(issued) ~= "table" or issued.kind ~= "number" or not find(issued.text, "^%d+%.?%d*$") then
      return UNAUTHORIZED, "The claim iat is missing or in the future"
    end
    issued = tonumber(issued.text)
    if not issued or issued > ngx.time() + rules.skew then
      return UNAUTHORIZED, "The claim iat is missing or in the future"
    end
  end
  for i = 1, #rules.required do
    local rule = rules.required[i]
    if not meets(value_at(claims, rule.path), rule) then
      return FORBIDDEN, "The claim " .. rule.claim .. " does not have what this service requires"
    end
  end
  local values = {}
  for i = 1, #rules.headers do
    local rule = rules.headers[i]
    local value = value_at(claims, rule.path)
    values[i] = false
    if value ~= nil then
      local text = header_text(value, payload)
      if not text then
        return UNAUTHORIZED, "The claim " .. rule.claim .. " cannot be made a header"
      end
      values[i] = text ~= "" and text
    end
  end
  return nil, nil, values
end

-- The headers that only this program may set, by what an upstream may take them for: many know no difference between
-- capitals and small letters, and between - and _.
local own = {}
for i = 1, #rules.headers do
  own[lower(rules.headers[i].header)] = true
end

local function is_own(name)
  return own[(gsub(lower(name), "_", "-"))]
end

-- Removes what the client sent under the name of a header of the rules; gives why it cannot. Kong removes what
-- Connection names (RFC 9110, section 7.6.1) after all plugins, and with it what this program sets.
local function remove_headers()
  if #rules.headers == 0 then
    return nil
  end
  local sent, truncated = kong.request.get_headers(MAX_HEADERS)
  if truncated then
    return "The request has too many headers"
  end
  local connection = sent.connection or ""
  if type(connection) == "table" then
    connection = concat(connection, ",")
  end
  for name in gmatch(connection, "[^,%s]+") do
    if is_own(name) then
      return "The header Connection names one that this service sets"
    end
  end
  for name in pairs(sent) do
    if is_own(name) then
      kong.service.request.clear_header(name)
    end
  end
  return nil
end

local function refuse(status, problem, code)
  local message = status == FORBIDDEN and "Forbidden" or "Unauthorized"
  if rules.explain and problem then
    message = problem
  end
  local challenge = "Bearer"
  if rules.realm then
    challenge = challenge .. ' realm="' .. rules.realm .. '"' .. (code and "," or "")
  end
  if code then
    challenge = challenge .. ' error="' .. code .. '"'
  end
  return kong.response.exit(status, {message = message}, {["WWW-Authenticate"] = challenge})
end

-- Whether a request without a token may pass: what the jwt plugin lets through as somebody anonymous, and not what
-- another plugin has authenticated; and requests of browsers that ask first.
local function passes_without_token()
  if rules.preflight and kong.request.get_method() == "OPTIONS" then
    return true
  end
  return rules.anonymous and kong.client.get_credential() == nil
end

return function()
  local token = kong.ctx.shared.authenticated_jwt_token
  if token == nil then
    if not passes_without_token() then
      return refuse(UNAUTHORIZED)
    end
    local unremoved = remove_headers()
    if unremoved then
      return refuse(UNAUTHORIZED, unremoved)
    end
    return
  end
  local ok, status, problem, values = pcall(decide, token)
  if not ok then
    return refuse(UNAUTHORIZED, "The token cannot be read", "invalid_token")
  end
  if status then
    return refuse(status, problem, status == FORBIDDEN and "insufficient_scope" or "invalid_token")
  end
  local unremoved = remove_headers()
  if unremoved then
    return refuse(UNAUTHORIZED, unremoved)
  end
  for i = 1, #rules.headers do
    if values[i] then
      kong.service.request.set_header(rules.headers[i].header, values[i])
    end
  end
end
