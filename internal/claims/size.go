package claims

// Size is how many bytes of the program are what the rules say. The rest is the same in each.
func (r Rules) Size() int { return len(r.table()) }
