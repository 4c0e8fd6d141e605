package schema

// Infer turns the texts of a form into what the schema asks for (kong/api/arguments.lua).
func (s *Record) Infer(input object) {
	s.Each(input, func(f *Field) {
		if value, there := input[f.name]; there {
			input[f.name] = f.infer(value)
		}
	})
	for _, short := range s.shorthands {
		if value, there := input[short.field.name]; there {
			input[short.field.name] = short.field.infer(value)
		}
	}
}

func (f *Field) infer(value any) any {
	if value == "" {
		return nil
	}
	switch f.kind {
	case "number", "integer":
		if text, ok := value.(string); ok {
			if number, isNumber := Decimal(text); isNumber {
				return number
			}
		}
	case "boolean":
		switch value {
		case "true":
			return true
		case "false":
			return false
		}
	case "array", "set":
		list, isList := value.([]any)
		if !isList {
			if _, isObject := value.(object); isObject {
				return value
			}
			list = []any{value}
		}
		for i, element := range list {
			list[i] = f.elements.infer(element)
		}
		return list
	case "map":
		if inner, ok := value.(object); ok {
			for name, element := range inner {
				inner[name] = f.values.infer(element)
			}
		}
	case "record":
		if inner, ok := value.(object); ok && f.record != nil {
			f.record.Infer(inner)
		}
	case "foreign":
		if inner, ok := value.(object); ok && f.foreign != nil {
			f.foreign.Infer(inner)
		}
	}
	return value
}
