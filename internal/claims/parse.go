package claims

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf8"
)

// maxDepth is how deep objects and lists may be in one another.
const maxDepth = 16

// list and object are the values that encoding/json has no own type for: an object knows its text.
type (
	list   []any
	object struct {
		fields map[string]any
		text   []byte
	}
)

var errNotJSON = errors.New("it is no JSON that every reader takes for the same")

// parse reads JSON (RFC 8259) more strictly than encoding/json does: UTF-8 alone, each name once in an object, no half
// of a surrogate pair, and no deeper than maxDepth. Values are nil, bool, string, json.Number, list and object.
func parse(text []byte) (any, error) {
	if !json.Valid(text) || !utf8.Valid(text) || hasLoneSurrogate(text) {
		return nil, errNotJSON
	}
	p := parser{text: text, decoder: json.NewDecoder(bytes.NewReader(text))}
	p.decoder.UseNumber()
	return p.value(0)
}

type parser struct {
	text    []byte
	decoder *json.Decoder
}

func (p *parser) value(depth int) (any, error) {
	token, err := p.decoder.Token()
	if err != nil {
		return nil, err
	}
	delimiter, isDelimiter := token.(json.Delim)
	switch {
	case !isDelimiter:
		return token, nil
	case depth >= maxDepth:
		return nil, errNotJSON
	case delimiter == '[':
		return p.list(depth + 1)
	default:
		return p.object(depth + 1)
	}
}

func (p *parser) list(depth int) (any, error) {
	items := list{}
	for p.decoder.More() {
		item, err := p.value(depth)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	_, err := p.decoder.Token()
	return items, err
}

func (p *parser) object(depth int) (any, error) {
	from := p.decoder.InputOffset() - 1
	fields := map[string]any{}
	for p.decoder.More() {
		name, err := p.decoder.Token()
		if err != nil {
			return nil, err
		}
		key, _ := name.(string)
		if _, twice := fields[key]; twice {
			return nil, errNotJSON
		}
		if fields[key], err = p.value(depth); err != nil {
			return nil, err
		}
	}
	if _, err := p.decoder.Token(); err != nil {
		return nil, err
	}
	return object{fields: fields, text: p.text[from:p.decoder.InputOffset()]}, nil
}

// hasLoneSurrogate looks through the escapes of a text that is JSON: only strings have backslashes.
func hasLoneSurrogate(text []byte) bool {
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		i++
		if text[i] != 'u' {
			continue
		}
		code := hexOf(text, i+1)
		i += 4
		switch {
		case code < 0xD800 || code > 0xDFFF:
		case code > 0xDBFF || i+6 >= len(text) || text[i+1] != '\\' || text[i+2] != 'u':
			return true
		default:
			if second := hexOf(text, i+3); second < 0xDC00 || second > 0xDFFF {
				return true
			}
			i += 6
		}
	}
	return false
}

func hexOf(text []byte, at int) uint64 {
	code, _ := strconv.ParseUint(string(text[at:at+4]), 16, 32) // JSON that is valid has four digits there
	return code
}
