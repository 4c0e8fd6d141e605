package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func parse(t *testing.T, text string) any {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestCompare(t *testing.T) {
	const id = "00000000-0000-4000-8000-000000000001"
	tests := []struct {
		name, want, got string
		differ          string // part of the difference; nothing where there is none
	}{
		{"same", `{"a":[1,null,{"b":true}]}`, `{"a":[1,null,{"b":true}]}`, ""},
		{"uuid", `{"id":"<uuid>"}`, `{"id":"` + id + `"}`, ""},
		{"no uuid", `{"id":"<uuid>"}`, `{"id":"x"}`, "id: want"},
		{"time", `{"at":"<timestamp>"}`, `{"at":1700000000}`, ""},
		{"time as text", `{"at":"<timestamp>"}`, `{"at":"1700000000"}`, "at: want"},
		{"generated", `{"key":"<generated>"}`, `{"key":"abcdefghijklmnopqrstuvwxyzABCDEF"}`, ""},
		{"within a text", `{"next":"/c?offset=<offset>&size=2"}`, `{"next":"/c?offset=WyJ4Il0%3D&size=2"}`, ""},
		{"within a text, another end", `{"next":"/c?offset=<offset>&size=2"}`, `{"next":"/c?offset=WyJ4Il0%3D"}`, "next: want"},
		{"null is there", `{"a":null}`, `{}`, "a: want null, got nothing"},
		{"unexpected", `{}`, `{"a":null}`, "a: want nothing, got null"},
		{"element of a list", `{"a":[1,2]}`, `{"a":[1,3]}`, "a.1: want 2, got 3"},
		{"length of a list", `{"a":[1]}`, `{"a":[1,2]}`, "a: want [1]"},
		{"number as text", `{"a":1}`, `{"a":"1"}`, "a: want 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			expectDifference(t, compare("", parse(t, tt.want), parse(t, tt.got)), tt.differ)
		})
	}
}

func expectDifference(t *testing.T, found []difference, want string) {
	t.Helper()
	if want == "" {
		if len(found) > 0 {
			t.Errorf("found %v", found)
		}
		return
	}
	if len(found) != 1 || !strings.Contains(found[0].String(), want) {
		t.Errorf("found %v, want %s", found, want)
	}
}

func TestCompareEntities(t *testing.T) {
	const a, b = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
	page := func(entities string) map[string]any {
		object, _ := parse(t, `{"data":[`+entities+`],"next":null}`).(map[string]any)
		return object
	}
	want := page(`{"id":"<uuid>","name":"x"},{"id":"<uuid>","name":"y"}`)
	expectDifference(t, compareEntities(want, page(`{"id":"`+a+`","name":"y"},{"id":"`+b+`","name":"x"}`)), "")
	expectDifference(t, compareEntities(want, page(`{"id":"`+b+`","name":"y"},{"id":"`+a+`","name":"x"}`)), "ordered by id")
	expectDifference(t, compareEntities(want, page(`{"id":"`+a+`","name":"x"},{"id":"`+b+`","name":"x"}`)), "name: want")
}

func TestCompareShape(t *testing.T) {
	want := parse(t, `{"database":{"reachable":true},"workers":[{"pid":1}]}`)
	expectDifference(t, compareShape("", want, parse(t, `{"database":{"reachable":true},"workers":[{"pid":7},{"pid":8}],"more":1}`)), "")
	expectDifference(t, compareShape("", want, parse(t, `{"database":{"reachable":false},"workers":[{"pid":7}]}`)), "reachable")
	expectDifference(t, compareShape("", want, parse(t, `{"database":{"reachable":true},"workers":[{"pid":"7"}]}`)), "pid")
	expectDifference(t, compareShape("", want, parse(t, `{"database":{"reachable":true}}`)), "workers")
}
