import { dayName } from './calendar.ts';
import type { SerendipityLabel, UserDay } from './records.ts';
import {
  NOVEL_BRAND,
  NOVEL_CATEGORY,
  NOVEL_SELLER,
  type Action,
  type DayCounts,
  type Said,
  type User,
} from './user.ts';

/** The label of a click as the contract writes it, from what was decided. */
export function labelOf(user: User, click: Action, said: Said): SerendipityLabel {
  const { names } = user;
  const { page, row, verdict } = said;
  const [category, brand, seller] = page === null ? [click.category, click.brand, click.seller] : page.ids(row);
  return {
    label_id: `${click.id}#${click.item}`,
    revision: click.revision,
    withdrawn: click.withdrawn,
    user_id: user.id,
    item_id: click.item,
    request_id: click.request,
    scene: page === null ? click.scene : page.scene,
    arm: page === null ? click.arm : page.arm,
    category_id: names.name(category),
    brand_id: names.name(brand),
    seller_id: names.name(seller),
    position: page === null ? click.position : page.position(row),
    click_time: click.time,
    exposure_time: page === null ? null : page.time,
    attribution: page === null ? 'none' : click.request !== null && page.request === click.request ? 'request' : 'item',
    serendipitous: (verdict & NOVEL_CATEGORY) !== 0,
    novel_category: (verdict & NOVEL_CATEGORY) !== 0,
    novel_brand: (verdict & NOVEL_BRAND) !== 0,
    novel_seller: (verdict & NOVEL_SELLER) !== 0,
    serendipity_related: verdict !== 0,
    category_last_seen: Number.isNaN(said.lastSeen) ? null : said.lastSeen,
    visit_days: said.visitDays,
    unlabelled: category < 0 ? 'no_category' : null,
  };
}

export function userDayOf(user: User, counts: DayCounts): UserDay {
  return {
    user_id: user.id,
    day: dayName(counts.day),
    arm: counts.arm,
    revision: counts.revision,
    events: counts.events,
    exposures: counts.exposures,
    s_exposures: counts.sExposures,
    clicks: counts.clicks,
    s_clicks: counts.sClicks,
    purchases: counts.purchases,
    s_purchases: counts.sPurchases,
  };
}
