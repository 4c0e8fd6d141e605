// Package postfunction runs Lua as Kong's post-function plugin does in its access phase: in a sandbox that has what
// Kong's has (kong/tools/kong-lua-sandbox.lua, 3.4.2 and 3.9.3) and nothing else, with those functions of Kong and
// nginx that the operator's own program calls.
package postfunction

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"
)

// Request is a request on its way through the plugins.
type Request struct {
	// Token is kong.ctx.shared.authenticated_jwt_token: empty where the jwt plugin verified none.
	Token string
	// Method of the request.
	Method string
	// HasCredential says that an authentication plugin found a credential.
	HasCredential bool
	// Upstream are the headers that the service gets. They are changed.
	Upstream http.Header
	// Now is the clock.
	Now time.Time
}

// Answer is what kong.response.exit sends.
type Answer struct {
	Status int
	Body   map[string]string
	Header http.Header
}

// Function is one entry of config.access. It may be used from many goroutines.
type Function struct {
	proto *lua.FunctionProto
	idle  sync.Pool
}

// Compile reads Lua. The error is of its syntax.
func Compile(source string) (*Function, error) {
	const name = "post-function"
	chunk, err := parse.Parse(strings.NewReader(source), name)
	if err != nil {
		return nil, fmt.Errorf("parse a function: %w", err)
	}
	proto, err := lua.Compile(chunk, name)
	if err != nil {
		return nil, fmt.Errorf("compile a function: %w", err)
	}
	return &Function{proto: proto}, nil
}

// errExit is what ngx.exit unwinds by.
var errExit = errors.New("exit")

// Run calls the function. The answer is nil where the request goes on. An error is one that Kong answers 500 for.
func (f *Function) Run(request *Request) (*Answer, error) {
	m, _ := f.idle.Get().(*machine)
	if m == nil {
		m = newMachine()
	}
	defer f.idle.Put(m)
	m.request, m.answer = request, nil
	defer func() { m.request = nil }()
	if m.function == nil {
		// The first call makes the function that requests are given to
		// (kong/plugins/pre-function/_handler.lua).
		chunk := m.state.NewFunctionFromProto(f.proto)
		chunk.Env = m.environment
		made, err := m.call(chunk)
		if err != nil || m.answer != nil {
			return m.answer, err
		}
		function, isFunction := made.(*lua.LFunction)
		if !isFunction {
			return nil, nil
		}
		m.function = function
	}
	_, err := m.call(m.function)
	return m.answer, err
}

// machine is a Lua state, for one request at a time.
type machine struct {
	state       *lua.LState
	environment *lua.LTable
	function    *lua.LFunction
	request     *Request
	answer      *Answer
}

func (m *machine) call(function *lua.LFunction) (lua.LValue, error) {
	err := m.state.CallByParam(lua.P{Fn: function, NRet: 1, Protect: true})
	if err != nil {
		if m.answer != nil {
			err = nil // the error is the exit
		}
		return lua.LNil, err
	}
	result := m.state.Get(-1)
	m.state.Pop(1)
	return result, nil
}

// allowed are the functions of the base libraries that the sandbox has.
const allowed = `_VERSION assert error ipairs next pairs pcall select tonumber tostring type unpack xpcall
math.abs math.ceil math.floor math.fmod math.huge math.max math.min math.modf math.pow
os.clock os.date os.difftime os.time
string.byte string.char string.find string.format string.gmatch string.gsub string.len string.lower string.match
string.rep string.reverse string.sub string.upper
table.concat table.insert table.maxn table.remove table.sort`

// maxRegistry is how many values may be on the stack: table.concat puts all of a table's there.
const maxRegistry = 1 << 17

func newMachine() *machine {
	m := &machine{state: lua.NewState(lua.Options{RegistryMaxSize: maxRegistry})}
	m.environment = m.state.NewTable()
	for id := range strings.FieldsSeq(allowed) {
		module, name, nested := strings.Cut(id, ".")
		if !nested {
			m.environment.RawSetString(module, m.state.GetGlobal(module))
			continue
		}
		m.set(id, m.state.GetField(m.state.GetGlobal(module), name))
	}
	for id, function := range map[string]lua.LGFunction{
		"ngx.decode_base64": decodeBase64, "ngx.encode_base64": encodeBase64, "ngx.time": m.time,
		"kong.client.get_credential": m.credential,
		"kong.request.get_method":    m.method, "kong.request.get_headers": m.headers,
		"kong.response.exit": m.exit, "kong.service.request.set_header": m.setHeader,
		"kong.service.request.clear_header": m.clearHeader,
	} {
		m.set(id, m.state.NewFunction(function))
	}
	shared := m.state.NewTable()
	shared.Metatable = m.state.SetFuncs(m.state.NewTable(), map[string]lua.LGFunction{"__index": m.shared})
	m.set("kong.ctx.shared", shared)
	return m
}

// set puts a value at a path of the environment.
func (m *machine) set(id string, value lua.LValue) {
	at := m.environment
	names := strings.Split(id, ".")
	for _, name := range names[:len(names)-1] {
		inner, exists := at.RawGetString(name).(*lua.LTable)
		if !exists {
			inner = m.state.NewTable()
			at.RawSetString(name, inner)
		}
		at = inner
	}
	at.RawSetString(names[len(names)-1], value)
}

func (m *machine) shared(l *lua.LState) int {
	if l.CheckString(2) == "authenticated_jwt_token" && m.request.Token != "" {
		l.Push(lua.LString(m.request.Token))
		return 1
	}
	l.Push(lua.LNil)
	return 1
}

// decodeBase64 is nginx's ngx_decode_base64: what follows padding is not looked at, and neither are left-over bits.
func decodeBase64(l *lua.LState) int {
	text, _, _ := strings.Cut(l.CheckString(1), "=")
	decoded, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		l.Push(lua.LNil)
		return 1
	}
	l.Push(lua.LString(decoded))
	return 1
}

func encodeBase64(l *lua.LState) int {
	l.Push(lua.LString(base64.StdEncoding.EncodeToString([]byte(l.CheckString(1)))))
	return 1
}

func (m *machine) time(l *lua.LState) int {
	l.Push(lua.LNumber(m.request.Now.Unix()))
	return 1
}

func (m *machine) credential(l *lua.LState) int {
	if m.request.HasCredential {
		l.Push(l.NewTable())
	} else {
		l.Push(lua.LNil)
	}
	return 1
}

func (m *machine) method(l *lua.LState) int {
	l.Push(lua.LString(m.request.Method))
	return 1
}

// headers lists the first headers of the request, by their names in small letters: a list where there are several.
func (m *machine) headers(l *lua.LState) int {
	most := l.CheckInt(1)
	list := l.NewTable()
	count := 0
	for name, values := range m.request.Upstream {
		count += len(values)
		if count > most {
			l.Push(list)
			l.Push(lua.LString("truncated"))
			return 2
		}
		var value lua.LValue = lua.LString(values[0])
		if len(values) > 1 {
			several := l.NewTable()
			for _, one := range values {
				several.Append(lua.LString(one))
			}
			value = several
		}
		list.RawSetString(strings.ToLower(name), value)
	}
	l.Push(list)
	return 1
}

func (m *machine) setHeader(l *lua.LState) int {
	m.clearHeader(l)
	m.request.Upstream.Set(l.CheckString(1), l.CheckString(2))
	return 0
}

func (m *machine) clearHeader(l *lua.LState) int {
	wanted := l.CheckString(1)
	for name := range m.request.Upstream {
		if strings.EqualFold(name, wanted) {
			delete(m.request.Upstream, name)
		}
	}
	return 0
}

func (m *machine) exit(l *lua.LState) int {
	m.answer = &Answer{Status: l.CheckInt(1), Body: texts(l.Get(2)), Header: http.Header{}}
	for name, value := range texts(l.Get(3)) {
		m.answer.Header.Set(name, value)
	}
	l.RaiseError("%v", errExit)
	return 0
}

func texts(value lua.LValue) map[string]string {
	table, isTable := value.(*lua.LTable)
	if !isTable {
		return nil
	}
	fields := map[string]string{}
	table.ForEach(func(name, value lua.LValue) { fields[name.String()] = value.String() })
	return fields
}
