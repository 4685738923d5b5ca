// What a dashboard of this repository may hold: Grafana's own types, and for each kind of panel its own options. Object literals are
// checked against them to the letter, so that a key that Grafana does not know is an error too.
import type { Dashboard, Panel, RowPanel, VariableModel, FieldConfig, FieldConfigSource, DataSourceRef } from '@grafana/schema/dist/esm/raw/dashboard/x/dashboard_types.gen';
import type { Options as StatOptions } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type { Options as TimeseriesOptions, FieldConfig as TimeseriesField } from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';
import type { Options as TimelineOptions, FieldConfig as TimelineField } from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';

/** Enums as the words that stand for them in JSON. */
type Json<T> = T extends string ? `${T}` : T extends number ? T : T extends (infer E)[] ? Json<E>[] : T extends object ? { [K in keyof T]: Json<T[K]> } : T;

/** A query of the Prometheus data source, whose own types are not published. */
interface Target {
  refId: string;
  datasource: Json<DataSourceRef>;
  editorMode: 'code';
  expr: string;
  legendFormat: string;
  range: boolean;
  instant?: boolean;
}

/** The published type asks for steps that begin with a number; Grafana begins with null, which stands for minus infinity. */
interface Thresholds {
  mode: 'absolute' | 'percentage';
  steps: { color: string; value: number | null }[];
}

type Field<Custom> = Omit<Json<FieldConfig>, 'custom' | 'thresholds'> & { thresholds?: Thresholds } & Custom;
type Config<Custom> = Omit<Json<FieldConfigSource>, 'defaults'> & { defaults: Field<Custom> };
type Of<Kind extends string, Options, Custom> = Omit<Json<Panel>, 'type' | 'options' | 'fieldConfig' | 'targets'> & {
  type: Kind;
  id: number;
  title: string;
  description: string;
  gridPos: { h: number; w: number; x: number; y: number };
  targets: Target[];
  options: Json<Options>;
  fieldConfig: Config<Custom>;
};

type House =
  | Of<'stat', StatOptions, {}>
  | Of<'timeseries', TimeseriesOptions, { custom: Json<TimeseriesField> }>
  | Of<'state-timeline', TimelineOptions, { custom: Json<TimelineField> }>;

type Variable = Omit<Json<VariableModel>, 'query'> & { query: string | { query: string; refId: string }; definition?: string };

/** What an import needs: a name that stays, no number of another Grafana. */
export type HouseDashboard = Omit<Json<Dashboard>, 'panels' | 'templating' | 'id'> & {
  uid: string;
  title: string;
  panels: (House | Json<RowPanel>)[];
  templating: { list: Variable[] };
};
