if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["kongjwt.dev/reconcile"] = os.date("!%Y-%m-%dT%XZ")
return obj
