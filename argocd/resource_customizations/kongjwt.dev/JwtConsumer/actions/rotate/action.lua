if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["kongjwt.dev/rotate"] = os.date("!%Y-%m-%dT%XZ")
return obj
