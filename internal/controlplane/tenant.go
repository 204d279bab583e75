package controlplane

import (
	"net/http"
	"strings"

	"github.com/acre-registry/acre/internal/acr"
	"github.com/acre-registry/acre/internal/arm"
)

// tenantRows are what lies around everything else: the tenant, its subscription, regions.
func (f *Face) tenantRows() []*row {
	return []*row{
		{provider: arm.Resources, types: "tenants", verbs: map[string]handler{list: tenants}},
		{provider: arm.Resources, types: "subscriptions", verbs: map[string]handler{list: subscriptions, http.MethodGet: subscription}},
		{provider: arm.Resources, types: "subscriptions/locations", verbs: map[string]handler{list: locations}},
	}
}

type tenantWire struct {
	ID             string   `json:"id"`
	TenantID       string   `json:"tenantId"`
	CountryCode    string   `json:"countryCode"`
	DisplayName    string   `json:"displayName"`
	Domains        []string `json:"domains"`
	TenantCategory string   `json:"tenantCategory"`
	DefaultDomain  string   `json:"defaultDomain"`
	TenantType     string   `json:"tenantType"`
}

// domain is what users' names end in.
const domain = "acre.localhost"

func tenants(c *call) error {
	id := c.opt.Resources.Installation().Tenant
	return listed(c, []tenantWire{{"/tenants/" + id, id, "", "acre", []string{domain}, "Home", domain, "AAD"}}, "")
}

type subscriptionWire struct {
	ID                   string            `json:"id"`
	AuthorizationSource  string            `json:"authorizationSource"`
	ManagedByTenants     []string          `json:"managedByTenants"`
	Tags                 map[string]string `json:"tags"`
	SubscriptionID       string            `json:"subscriptionId"`
	TenantID             string            `json:"tenantId,omitempty"`
	DisplayName          string            `json:"displayName"`
	State                string            `json:"state"`
	SubscriptionPolicies map[string]string `json:"subscriptionPolicies"`
}

func wireSubscription(c *call) subscriptionWire {
	in := c.opt.Resources.Installation()
	s := subscriptionWire{
		ID: "/subscriptions/" + in.Subscription, AuthorizationSource: "RoleBased", ManagedByTenants: []string{}, Tags: map[string]string{},
		SubscriptionID: in.Subscription, TenantID: in.Tenant, DisplayName: "acre", State: "Enabled",
		SubscriptionPolicies: map[string]string{"locationPlacementId": "Internal_2014-09-01", "quotaId": "Internal_2014-09-01", "spendingLimit": "Off"},
	}
	if !c.version.Since("2019-01-01") { // clients of that time put the tenant there that they asked
		s.TenantID = ""
	}
	return s
}

// subscriptions lists what the caller has any right in.
func subscriptions(c *call) error {
	if err := c.opt.Resources.Sees(c.ctx, c.opt.Resources.Scope()); err != nil {
		return listed(c, []subscriptionWire{}, "")
	}
	return listed(c, []subscriptionWire{wireSubscription(c)}, "")
}

func subscription(c *call) error {
	if err := c.opt.Resources.Sees(c.ctx, c.opt.Resources.Scope()); err != nil {
		return err
	}
	return c.write(http.StatusOK, wireSubscription(c))
}

type locationWire struct {
	ID                  string           `json:"id"`
	Name                string           `json:"name"`
	Type                string           `json:"type"`
	DisplayName         string           `json:"displayName"`
	RegionalDisplayName string           `json:"regionalDisplayName"`
	Metadata            locationMetadata `json:"metadata"`
}

type locationMetadata struct {
	RegionType       string   `json:"regionType"`
	RegionCategory   string   `json:"regionCategory"`
	Geography        string   `json:"geography"`
	GeographyGroup   string   `json:"geographyGroup"`
	Longitude        string   `json:"longitude"`
	Latitude         string   `json:"latitude"`
	PhysicalLocation string   `json:"physicalLocation"`
	PairedRegion     []string `json:"pairedRegion"`
}

// regions are the names that clients offer. Any other will do: where the server stands decides where the bytes are.
var regions = []string{
	"Local", "East US", "East US 2", "South Central US", "West US", "West US 2", "West US 3", "Central US", "North Central US", "West Central US",
	"Canada Central", "Canada East", "Brazil South", "North Europe", "West Europe", "UK South", "UK West", "France Central", "Germany West Central",
	"Switzerland North", "Norway East", "Sweden Central", "Poland Central", "Italy North", "Spain Central", "UAE North", "Qatar Central", "Israel Central",
	"South Africa North", "Central India", "South India", "West India", "East Asia", "Southeast Asia", "Japan East", "Japan West", "Korea Central",
	"Korea South", "Australia East", "Australia Southeast", "Australia Central", "New Zealand North",
}

// regionNames are regions as locations name them.
func regionNames() []string {
	out := make([]string, len(regions))
	for i, r := range regions {
		out[i] = acr.CleanLocation(r)
	}
	return out
}

func locations(c *call) error {
	if err := c.opt.Resources.Sees(c.ctx, c.opt.Resources.Scope()); err != nil {
		return err
	}
	out := make([]locationWire, len(regions))
	for i, display := range regions {
		name := acr.CleanLocation(display)
		out[i] = locationWire{
			ID: c.opt.Resources.Scope() + "/locations/" + name, Name: name, Type: "Region", DisplayName: display, RegionalDisplayName: display,
			Metadata: locationMetadata{RegionType: "Physical", RegionCategory: "Recommended", Geography: display, GeographyGroup: group(display),
				Longitude: "0", Latitude: "0", PhysicalLocation: display, PairedRegion: []string{}},
		}
	}
	return listed(c, out, "")
}

// group is the part of the world that a region is listed under.
func group(region string) string {
	for _, g := range []struct{ mark, name string }{
		{" US", "US"}, {"Canada", "Canada"}, {"Brazil", "South America"}, {"UAE", "Middle East"}, {"Qatar", "Middle East"}, {"Israel", "Middle East"},
		{"Africa", "Africa"}, {"India", "Asia Pacific"}, {"Asia", "Asia Pacific"}, {"Japan", "Asia Pacific"}, {"Korea", "Asia Pacific"},
		{"Australia", "Asia Pacific"}, {"Zealand", "Asia Pacific"}, {"Local", "Local"},
	} {
		if strings.Contains(region, g.mark) {
			return g.name
		}
	}
	return "Europe"
}
