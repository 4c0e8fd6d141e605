package schema

import "time"

// Read gives a row as it is read: what nobody wrote is as it is by default, and what is not known is not there.
func (s *Record) Read(row object, now time.Time) map[string]any {
	seen := make(object, len(row))
	s.Each(row, func(f *Field) {
		value, there := row[f.name]
		if inner, ok := value.(object); ok && f.kind == "record" && f.record != nil {
			value = f.record.Read(inner, now)
		}
		if !there {
			value, there = f.missing(now)
		}
		if there {
			seen[f.name] = value
		}
	})
	return seen
}
