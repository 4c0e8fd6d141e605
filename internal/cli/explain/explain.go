// Package explain is kubectl kongjwt explain: why a token is accepted or refused.
package explain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/adminapi"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/complete"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/output"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/tokeninput"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/usage"
	"github.com/kongjwt/kong-jwt-operator/internal/explain"
	"github.com/kongjwt/kong-jwt-operator/internal/jwtplugin"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

type options struct {
	input         tokeninput.Flags
	output        output.Flags
	service, url  string
	method        string
	headers       []string
	showSignature bool
	live          liveOptions
	kong          string
	kongVersion   string
	admin         adminapi.Flags
}

// Command returns the subcommand.
func Command(e *env.Env) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "explain",
		Short: "Say why a token is accepted or refused",
		Long: `Say why a token is accepted or refused: every check that Kong makes, in Kong's order, with what
Kong answers and what to do about it.

The service is named by --service, or found by --url among the routes of all JwtProtectedServices
that you may see. What you may not read is unknown, not failed. So is a refusal that rests on a
resource that is not Ready: Kong may hold what was before, and accept the token. --kong asks Kong's
Admin API instead of the resources, --live asks the data planes; nothing else is sent anywhere.

Exits with 1 where the token is refused, or where that is not known.`,
		Example: `  # Why does this request get a 401?
  echo "$TOKEN" | kubectl kongjwt explain --url https://kong.example.com/orders

  # The service by its name, the token of a JwtToken
  kubectl kongjwt explain --service team-a/orders --token-secret team-a/worker-token

  # After a revocation: does Kong refuse it, do the data planes?
  kubectl kongjwt explain --service team-a/orders --token-env TOKEN --kong http://127.0.0.1:8001
  kubectl kongjwt explain --service team-a/orders --token-env TOKEN --live`,
		Args: usage.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), e) },
	}
	o.input.Add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.service, "service", "", "JwtProtectedService that the request is for: [NAMESPACE/]NAME")
	flags.StringVar(&o.url, "url", "", "URL of the request; its route says which service it is for")
	flags.StringVar(&o.method, "method", "GET", "Method of the request")
	flags.StringArrayVar(&o.headers, "header", nil, `Header of the request that its route looks at, such as "X-Version: 2"; may be given again`)
	flags.BoolVar(&o.showSignature, "show-signature", false, "Show the token's signature: whoever reads it can use the token")
	cobra.CheckErr(errors.Join(
		cmd.RegisterFlagCompletionFunc("service", complete.Services(e)),
		cmd.RegisterFlagCompletionFunc("url", cobra.NoFileCompletions), cmd.RegisterFlagCompletionFunc("header", cobra.NoFileCompletions),
		cmd.RegisterFlagCompletionFunc("method", cobra.FixedCompletions([]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}, cobra.ShellCompDirectiveNoFileComp)),
	))
	flags.StringVar(&o.kong, "kong", "", "Ask Kong itself, whose Admin API has this URL; through kubectl port-forward for one")
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("kong", cobra.NoFileCompletions))
	flags.StringVar(&o.kongVersion, "kong-version", "", "Version of Kong whose checks are made, such as 3.4. Default: the gateway's")
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("kong-version", cobra.NoFileCompletions))
	o.admin.Add(cmd)
	o.live.add(cmd)
	cmd.MarkFlagsMutuallyExclusive("kong", "live")
	cmd.MarkFlagsMutuallyExclusive("kong", "kong-version")
	o.output.Add(cmd, output.JSON, output.YAML)
	return cmd
}

func (o *options) run(ctx context.Context, e *env.Env) error {
	if err := o.output.Check(); err != nil {
		return err
	}
	if err := kong.CheckVersion("--kong-version", o.kongVersion); err != nil {
		return err
	}
	request, err := parseAsked(o.method, o.url, o.headers)
	if err != nil {
		return err
	}
	namespace, err := e.Namespace()
	if err != nil {
		return err
	}
	serviceNamespace, name, err := o.serviceName(namespace)
	if err != nil {
		return err
	}
	text, err := o.input.Read(ctx, e)
	if err != nil {
		return err
	}
	kube, err := e.Client()
	if err != nil {
		return err
	}
	c, err := readCluster(ctx, kube, namespace, serviceNamespace)
	if err != nil {
		return err
	}
	t, err := c.find(request, serviceNamespace, name)
	if err != nil && (o.kong == "" || request.url.Host == "") {
		return err
	}
	a := &answer{Token: decodeToken(text.Reveal(), o.showSignature)}
	if t.service != nil {
		a.Service, a.Gateway = t.service.Namespace+"/"+t.service.Name, t.gateway
	}
	switch {
	case o.kong != "":
		a.Report, err = o.ofKong(ctx, e, c, request, t, text.Reveal())
	case t.service == nil:
		a.Report = explain.Report{Verdict: explain.Unknown, Checks: []explain.Check{*t.routed}}
	default:
		d := &directory{ctx: ctx, cluster: c, gateway: t.gateway, kongVersion: o.kongVersion}
		if gateway := c.gateway(t.gateway); gateway != nil {
			d.kongVersion = cmp.Or(o.kongVersion, gateway.Status.KongVersion)
		}
		a.Report, err = o.ofResources(d, t, request, text.Reveal(), e)
	}
	if err != nil {
		return err
	}
	return o.print(e, a)
}

// ofKong explains by what Kong holds.
func (o *options) ofKong(
	ctx context.Context, e *env.Env, c *cluster, request asked, t target, token string,
) (explain.Report, error) {
	api, err := o.admin.Client("--kong", o.kong, e.Version)
	if err != nil {
		return explain.Report{}, err
	}
	defer api.CloseIdle()
	in := explain.Input{Now: e.Clock.Now(), Keys: c.keys()}
	return (&asKong{ctx: ctx, api: api}).report(in, request, t, token)
}

// ofResources explains by what the resources say, and by what data planes say where they are asked.
func (o *options) ofResources(
	d *directory, t target, request asked, token string, e *env.Env,
) (explain.Report, error) {
	report, err := d.report(t, request, token, e)
	if err != nil || !o.live.on {
		return report, err
	}
	live := o.live.ask(d.ctx, d, e.Clock.Now)
	if live.Outcome == jwtplugin.Passed && d.found.problem != "" {
		d.confirmed = true // whatever the resource says, those who answer requests hold the credential
		if report, err = d.report(t, request, token, e); err != nil {
			return report, err
		}
	}
	report.Checks = append(report.Checks, live)
	switch {
	case report.Verdict == explain.Refused:
	case live.Outcome == jwtplugin.Failed:
		report.Verdict = explain.Refused // by those who answer requests, whatever the resources say
	case live.Outcome != jwtplugin.Passed:
		report.Verdict = explain.Unknown
	}
	return report, nil
}

// serviceName reads --service; without it, the name is empty and the namespace the caller's.
func (o *options) serviceName(namespace string) (serviceNamespace, name string, err error) {
	if o.service == "" {
		return namespace, "", nil
	}
	first, second, qualified := strings.Cut(o.service, "/")
	switch {
	case !qualified:
		return namespace, first, nil
	case first == "" || second == "" || strings.Contains(second, "/"):
		return "", "", errors.New("--service: write it [NAMESPACE/]NAME")
	default:
		return first, second, nil
	}
}

// report makes all checks but the live one.
func (d *directory) report(t target, request asked, token string, e *env.Env) (explain.Report, error) {
	access, admitted := d.cluster.access(t)
	guard, err := guardOf(t.service, access, admitted, d.kongVersion)
	if err != nil {
		return explain.Report{}, fmt.Errorf("%s %s/%s: %w", v1alpha1.KindJwtProtectedService, t.service.Namespace, t.service.Name, err)
	}
	in := explain.Input{
		Request: requestWith(request, *guard.JWT, token), Guard: guard, Directory: d, Groups: d.groups, Name: d.name,
		Now: e.Clock.Now(), Before: d.resources(t), Keys: d.cluster.keys(), Doubts: func() explain.Doubts { return d.doubts(t) },
	}
	if t.routed != nil {
		in.Before = append(in.Before, *t.routed)
	}
	report := explain.Explain(in)
	d.refine(report.Checks)
	// Where data planes confirmed the credential, the consumer's groups are all that its resource still says.
	if d.found != nil && (!d.confirmed || guard.ACL != nil) {
		consumer := d.found.consumer
		report.Precede(d.cluster.conditions(v1alpha1.KindJwtConsumer, consumer.Namespace, consumer.Name,
			"kubectl kongjwt status says what it waits for; until then Kong may not hold its credentials and groups.")...)
	}
	return report, nil
}

// resources are the checks of the gateway and the service.
func (d *directory) resources(t target) []explain.Check {
	const until = "kubectl kongjwt status says what it waits for; until then Kong may not hold what the spec says."
	checks := d.cluster.conditions(v1alpha1.KindKongGateway, "", t.gateway, until)
	return append(checks, d.cluster.conditions(v1alpha1.KindJwtProtectedService, t.service.Namespace, t.service.Name, until)...)
}

// askKong is the remedy where Kong may hold something else than the resources say.
const askKong = "Ask Kong itself with --kong, or the data planes with --live; kubectl kongjwt status says what the operator " +
	"waits for."

// doubts say why Kong may hold something else than the resources say.
func (d *directory) doubts(t target) explain.Doubts {
	doubts := explain.Doubts{Service: d.cluster.doubt(v1alpha1.KindJwtProtectedService, t.service)}
	if d.found != nil && !d.confirmed {
		doubts.Consumer = d.cluster.doubt(v1alpha1.KindJwtConsumer, d.found.consumer)
	}
	return doubts
}

// refine says of a credential that was not found, or whose material is not known, what the resources tell.
func (d *directory) refine(checks []explain.Check) {
	for i := range checks {
		c := &checks[i]
		switch jwtplugin.Check(c.Name) {
		case jwtplugin.CheckCredential:
			switch {
			case c.Outcome != jwtplugin.Passed && d.found != nil && d.found.problem != "":
				c.Detail = fmt.Sprintf("%s has the key, %s", d.name(""), d.found.problem)
				c.Remedy = d.found.remedy
				if doubt := d.cluster.doubt(v1alpha1.KindJwtConsumer, d.found.consumer); c.Outcome == jwtplugin.Unknown && doubt != "" {
					c.Detail += "; " + doubt + ": Kong may still accept it"
					c.Remedy = askKong
				}
			case c.Outcome == jwtplugin.Failed:
				c.Detail += fmt.Sprintf(" among the JwtConsumers of gateway %s; credentials that were made in Kong by hand are "+
					"not looked at", d.gateway)
			case c.Outcome == jwtplugin.Unknown && !d.cluster.complete():
				c.Remedy = "You may read JwtConsumers of " + strings.Join(d.cluster.Namespaces, ", ") + " alone; ask somebody who may read all."
			}
		case jwtplugin.CheckKey, jwtplugin.CheckSignature:
			if c.Outcome == jwtplugin.Unknown && d.found != nil && d.found.unreadable != nil {
				c.Detail = d.found.unreadable.Error()
				c.Remedy = "Ask somebody who may read it, or use --live where you may."
			}
		}
	}
}

// requestWith puts the token where the plugin looks first.
func requestWith(a asked, cfg jwtplugin.Config, token string) jwtplugin.Request {
	req := jwtplugin.Request{Method: a.method, RawQuery: a.url.RawQuery, Header: a.header.Clone()}
	switch {
	case len(cfg.HeaderNames) > 0:
		req.Header.Set(cfg.HeaderNames[0], "Bearer "+token)
	case len(cfg.CookieNames) > 0:
		req.Header.Set("Cookie", cfg.CookieNames[0]+"="+token)
	case len(cfg.URIParamNames) > 0:
		req.RawQuery = strings.TrimPrefix(req.RawQuery+"&"+cfg.URIParamNames[0]+"="+token, "&")
	}
	return req
}
