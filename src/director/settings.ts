/** Settings and time-outs of a running director, with what is refused. */
import { LvsError } from '../model/errors.ts';
import { DEFAULT_SETTINGS, FOUR_VALUED, type SettingName, type Settings } from '../model/settings.ts';

/** Every setting at its default but those given. */
export function newSettings(given: Partial<Settings> = {}): Settings {
  const settings: Settings = { ...DEFAULT_SETTINGS };
  for (const [name, value] of Object.entries(given)) changeSetting(settings, name as SettingName, value);
  return settings;
}

export function changeSetting(settings: Settings, name: SettingName, value: number): void {
  if (!Object.hasOwn(settings, name)) throw new LvsError('INVALID', `there is no setting ${name}`);
  const most = FOUR_VALUED.includes(name) ? 3 : 0x7fffffff;
  if (!(Number.isInteger(value) && value >= 0 && value <= most))
    throw new LvsError('INVALID', `${name} cannot be ${value}: 0 to ${most}`);
  settings[name] = value;
}
