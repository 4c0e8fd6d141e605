-- The operator changes nothing of a suspended consumer, and only what it generates can be rotated.
local suspended = obj.spec.suspend == true
local revoked = obj.spec.revoked == true
local generated = false
for _, credential in ipairs(obj.spec.credentials or {}) do
  generated = generated or credential.generate ~= nil
end
return {
  reconcile = {disabled = suspended},
  rotate = {disabled = suspended or revoked or not generated},
  revoke = {disabled = suspended or revoked},
  suspend = {disabled = suspended},
  resume = {disabled = not suspended},
}
