package kongsim

import (
	"encoding/json"
	"fmt"

	"github.com/kongjwt/kong-jwt-operator/internal/router"
)

// Rows are entities in the Admin API's form, as far as the proxy reads them.

type rowRef struct {
	ID string `json:"id"`
}

func (r *rowRef) id() string {
	if r == nil {
		return ""
	}
	return r.ID
}

type routeRow struct {
	ID             string              `json:"id"`
	Name           string              `json:"name"`
	Service        *rowRef             `json:"service"`
	Protocols      []string            `json:"protocols"`
	Methods        []string            `json:"methods"`
	Hosts          []string            `json:"hosts"`
	Paths          []string            `json:"paths"`
	Headers        map[string][]string `json:"headers"`
	SNIs           []string            `json:"snis"`
	RegexPriority  uint32              `json:"regex_priority"`
	StripPath      bool                `json:"strip_path"`
	PreserveHost   bool                `json:"preserve_host"`
	RedirectStatus int                 `json:"https_redirect_status_code"`
}

type serviceRow struct {
	ID             string `json:"id"`
	Name           string `json:"name"`
	Protocol       string `json:"protocol"`
	Host           string `json:"host"`
	Port           int    `json:"port"`
	Path           string `json:"path"`
	Enabled        bool   `json:"enabled"`
	ConnectTimeout int    `json:"connect_timeout"`
	ReadTimeout    int    `json:"read_timeout"`
	TLSVerify      bool   `json:"tls_verify"`
}

type pluginRow struct {
	ID        string         `json:"id"`
	Name      string         `json:"name"`
	Route     *rowRef        `json:"route"`
	Service   *rowRef        `json:"service"`
	Consumer  *rowRef        `json:"consumer"`
	Protocols []string       `json:"protocols"`
	Enabled   bool           `json:"enabled"`
	Condition string         `json:"condition"`
	Config    map[string]any `json:"config"`
}

// readRow turns an entity of the Admin API into a row.
func readRow(entity, row any) error {
	raw, err := json.Marshal(entity)
	if err != nil {
		return fmt.Errorf("encode an entity: %w", err)
	}
	if err := json.Unmarshal(raw, row); err != nil {
		return fmt.Errorf("decode an entity: %w", err)
	}
	return nil
}

func (r routeRow) view() *router.Route {
	return &router.Route{
		ID: r.ID, Name: r.Name, ServiceID: r.Service.id(), Protocols: r.Protocols, Methods: r.Methods,
		Hosts: r.Hosts, Paths: r.Paths, Headers: r.Headers, SNIs: r.SNIs, RegexPriority: r.RegexPriority,
		StripPath: r.StripPath, PreserveHost: r.PreserveHost, RedirectStatus: r.RedirectStatus,
	}
}

func (r serviceRow) view() *router.Service {
	return &router.Service{
		ID: r.ID, Name: r.Name, Protocol: r.Protocol, Host: r.Host, Port: r.Port, Path: r.Path,
		Enabled: r.Enabled, ConnectTimeout: r.ConnectTimeout, ReadTimeout: r.ReadTimeout, TLSVerify: r.TLSVerify,
	}
}

func (r pluginRow) view() *pluginView {
	return &pluginView{
		ID: r.ID, Name: r.Name, RouteID: r.Route.id(), ServiceID: r.Service.id(), ConsumerID: r.Consumer.id(),
		Protocols: r.Protocols, Enabled: r.Enabled, Condition: r.Condition, Config: r.Config,
	}
}
