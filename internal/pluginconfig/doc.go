// Package pluginconfig translates the plugins that have fields of their own in a JwtProtectedService: Kong's jwt, acl
// and rate-limiting. Each plugin has three forms, and one table that joins them:
//
//   - the API type, which a user writes and which leaves out what Kong's default says (Encode gives Kong's form of it,
//     Decode reads it back and names each option that no field can say);
//   - Kong's configuration, a JSON object with the names of Kong's schema;
//   - the settings, which are Kong's configuration with its types and defaults: what the plugin does.
//
// It is pure, and knows no more of Kong's versions than its arguments say.
package pluginconfig
