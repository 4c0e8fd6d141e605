// Package claims checks the claims of a token that Kong's jwt plugin has verified: who issued it, whom it is for, and
// what else it has to say; and it makes headers of claims. The same decision is here twice:
//
//   - program.lua, which Kong's post-function plugin runs for each request. It is one fixed text; what a
//     JwtProtectedService asks for reaches it as data (compile.go), so that no tenant writes Lua.
//   - decide.go, a pure function, for explaining and for tests. They run both on the same tokens.
//
// Everything that cannot be read is refused.
package claims
