-- Health of a JwtToken, from its conditions (kstatus rules: Ready, and Reconciling or Stalled while they are true, and Suspended).
local health = {status = "Progressing", message = "waiting for the operator to look at it"}
if obj.status == nil or obj.status.conditions == nil then
  return health
end
-- The conditions speak of an earlier spec until the operator has looked at this one.
if obj.metadata.generation ~= nil and obj.status.observedGeneration ~= obj.metadata.generation then
  health.message = "waiting for the operator to take up the change"
  return health
end
local ready, stalled, suspended
for _, condition in ipairs(obj.status.conditions) do
  if condition.type == "Ready" then
    ready = condition
  elseif condition.type == "Stalled" and condition.status == "True" then
    stalled = condition
  elseif condition.type == "Suspended" and condition.status == "True" then
    suspended = condition
  end
end
-- Ready stays as it was while the resource is left alone.
if suspended ~= nil then
  health.status = "Suspended"
  health.message = "Suspended: " .. suspended.message
  return health
end
if ready == nil then
  return health
end
health.message = ready.message
if ready.status == "True" then
  health.status = "Healthy"
elseif ready.reason == "ConsumerRevoked" then
  -- Somebody has revoked its JwtConsumer: it waits for a decision, as what is suspended does.
  health.status = "Suspended"
elseif stalled ~= nil then
  health.status = "Degraded"
end
if health.status ~= "Healthy" and ready.reason ~= nil then
  health.message = ready.reason .. ": " .. (ready.message or "")
end
return health
